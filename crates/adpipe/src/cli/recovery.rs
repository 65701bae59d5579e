//! `adpipe backup`, `adpipe restore` and `adpipe rebuild`.

use std::path::PathBuf;

use clap::Args;

pub const BACKUP_EXAMPLES: &str = "\
Copies everything as of one moment, while the pipeline runs: the event log, the warehouse, the
dead-letter queue, runs, marts, the archive, waiting messages, the configuration. Backups contain no
secrets and no raw files. PostgreSQL requires pg_dump on PATH. Kafka and object stores are not
copied. If you repeat a backup into the same folder, parts of the archive are not copied again, and
the previous backup stays intact until the new one is complete. Exit code 1 if a part of the archive
is missing or damaged; everything else is in the backup.

Examples:
  adpipe backup /backup/adpipe
  adpipe backup --data /var/lib/adpipe --json /backup/adpipe
  adpipe restore /backup/adpipe --check      check that it is complete";

pub const RESTORE_EXAMPLES: &str = "\
Checks every file of the backup, then restores it into an empty or new folder. adpipe refuses a
backup that is damaged or incomplete, and a folder that is not empty. Without --data, everything
goes to the places that the configuration names.

Examples:
  adpipe restore /backup/adpipe --data /var/lib/adpipe
  adpipe verify --data /var/lib/adpipe
  adpipe restore /backup/adpipe --check      only check the backup";

pub const REBUILD_EXAMPLES: &str = "\
Use it if the warehouse is gone, damaged or older than the archive. It rebuilds figures, the
archive's list, the account of raw files and hot events exactly, from the archive (with the account
that every `adpipe etl` stores there) and from the log. Stop adpipe first. The previous realtime.db
is kept; on PostgreSQL, everything is replaced in one transaction. Nothing changes until the end.
Exit code 1 if a part of the archive is damaged or missing; that part is left out and named.

Examples:
  adpipe rebuild --dry-run     what is there, and what is missing
  adpipe rebuild
  adpipe verify";

#[derive(Args)]
pub struct RebuildArgs {
    /// Only report what there is; change nothing
    #[arg(long)]
    pub dry_run: bool,

    /// PostgreSQL: replace the schema without keeping a copy
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

    /// Only check that the backup is complete
    #[arg(long)]
    pub check: bool,

    /// Leave out PostgreSQL's dump, to restore it by hand
    #[arg(long)]
    pub without_warehouse: bool,

    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}
