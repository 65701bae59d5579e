//! `adpipe backup` and `adpipe restore`.

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
