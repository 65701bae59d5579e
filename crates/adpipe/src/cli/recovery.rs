//! `adpipe backup`, `adpipe restore` and `adpipe rebuild`.

use std::path::PathBuf;

use clap::Args;

pub const BACKUP_EXAMPLES: &str = "\
Takes everything as it is at one moment, while the pipeline runs: the event log, the warehouse, the
dead-letter queue, runs, marts, the archive, messages that wait, the configuration. Secrets are in
no backup, nor are raw files. With PostgreSQL, pg_dump must be on PATH; Kafka and object stores are
not copied. Repeated into the same folder, parts of the archive that lie there are not copied again,
and the backup before stays whole until the new one is. Exit code 1 when a part of the archive is
missing or damaged: the rest is in the backup all the same.

Examples:
  adpipe backup /backup/adpipe
  adpipe backup --data /var/lib/adpipe --json /backup/adpipe
  adpipe restore /backup/adpipe --check      is it whole?";

pub const RESTORE_EXAMPLES: &str = "\
Checks every file of the backup, then puts it into a folder that is empty or not there yet. A backup
that is damaged or not complete is refused, and so is a place where something is already. Without
--data everything goes to the places that the configuration names.

Examples:
  adpipe restore /backup/adpipe --data /var/lib/adpipe
  adpipe verify --data /var/lib/adpipe
  adpipe restore /backup/adpipe --check      only check it";

pub const REBUILD_EXAMPLES: &str = "\
For a warehouse that is gone, damaged or older than the archive: figures, the archive's list, the
account of raw files and hot events are made again, exact, from the archive (with the account that
every `adpipe etl` writes beside it) and from the log. Stop adpipe first. The former realtime.db is
kept; on PostgreSQL everything is replaced in one transaction. Until the end nothing changes. Exit
code 1 when a part of the archive is damaged or missing: it is left out and named.

Examples:
  adpipe rebuild --dry-run     what is there, and what is missing
  adpipe rebuild
  adpipe verify";

#[derive(Args)]
pub struct RebuildArgs {
    /// Change nothing; say what there is
    #[arg(long)]
    pub dry_run: bool,

    /// PostgreSQL: replace the schema, of which no copy is kept
    #[arg(long)]
    pub yes: bool,

    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct BackupArgs {
    /// A new or empty folder, or one that holds a backup
    pub folder: PathBuf,

    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct RestoreArgs {
    /// The backup's folder
    pub folder: PathBuf,

    /// Only check that the backup is whole
    #[arg(long)]
    pub check: bool,

    /// Leave out PostgreSQL's dump, which somebody restores by hand
    #[arg(long)]
    pub without_warehouse: bool,

    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}
