//! One moment of several SQLite files, of which others write.
//!
//! In WAL mode a reader sees the file as it was when it began, for as long as it reads, and does not
//! block others. So it is enough that all readers start at one moment: while they do, we hold the write
//! locks of the files whose transactions depend on each other. The log needs no lock: records appended
//! to it while no effect can be committed are what a crash also leaves behind. It is opened last, so
//! that nothing is ever ahead of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use adpipe_runtime::Shutdown;
use adpipe_sql::sqlite::BUSY_TIMEOUT;
use adpipe_sql::trouble::Trouble;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use crate::copy::{Content, content_of, create_private};
use crate::{BackupError, Progress};

/// Files whose writers are held up for the moment, in the order in which their locks are taken: those
/// with the longest transactions first, so that nothing else waits while we wait for them.
const HELD_UP: [&str; 3] = ["realtime.db", "errors.db", "ops.db"];

/// Files of the embedded warehouse that nothing depends on.
const DERIVED: &str = "analytics.db";

/// The file of the embedded log.
const LOG: &str = "log.db";

/// How long the moment is tried for: a long transaction of `adpipe etl` may stand in its way.
const LOCK_WAIT: Duration = Duration::from_secs(120);

/// How long a lock is waited for while others are held: others must not notice the wait.
const LOCK_WAIT_HOLDING: Duration = Duration::from_millis(250);

/// Until the locks are tried again.
const PAUSE: Duration = Duration::from_millis(100);

/// Pages copied between two looks at the switch.
const PAGES_A_STEP: i32 = 256;

/// A file, as it was at the moment.
pub(crate) struct Seen {
    /// File name in the folder.
    pub name: String,
    path: PathBuf,
    connection: Connection,
}

/// Begins to read all files that are there; `log` and `warehouse` are their folders.
pub(crate) fn begin(
    log: Option<&Path>,
    warehouse: Option<&Path>,
    shutdown: &Shutdown,
) -> Result<Vec<Seen>, BackupError> {
    let existing = |folder: Option<&Path>, names: &[&str]| -> Vec<PathBuf> {
        let paths = names.iter().filter_map(|name| folder.map(|folder| folder.join(name)));
        paths.filter(|path| path.exists()).collect()
    };
    let held_up = existing(warehouse, &HELD_UP);
    let mut read = held_up.clone();
    read.extend(existing(warehouse, &[DERIVED]));
    read.extend(existing(log, &[LOG]));
    let started = Instant::now();
    loop {
        match try_begin(&held_up, &read) {
            Err(Failure::Locked(_)) if started.elapsed() < LOCK_WAIT => {
                if shutdown.sleep(PAUSE) {
                    return Err(BackupError::Stopped);
                }
            }
            Err(Failure::Locked(error) | Failure::Other(error)) => return Err(error),
            Ok(seen) => return Ok(seen),
        }
    }
}

enum Failure {
    Locked(BackupError),
    Other(BackupError),
}

fn try_begin(held_up: &[PathBuf], read: &[PathBuf]) -> Result<Vec<Seen>, Failure> {
    let mut locks = Vec::with_capacity(held_up.len());
    for path in held_up {
        let patience = if locks.is_empty() { BUSY_TIMEOUT } else { LOCK_WAIT_HOLDING };
        locks.push(run(path, "begin immediate", patience)?);
    }
    let mut seen = Vec::with_capacity(read.len());
    for path in read {
        // A transaction begins to read with its first statement.
        let connection = run(path, "begin; select count(*) from sqlite_schema", LOCK_WAIT_HOLDING)?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        seen.push(Seen { name, path: path.clone(), connection });
    }
    drop(locks);
    Ok(seen)
}

fn run(path: &Path, sql: &str, patience: Duration) -> Result<Connection, Failure> {
    let begun = open(path).and_then(|connection| {
        connection.busy_timeout(patience)?;
        connection.execute_batch(sql)?;
        Ok(connection)
    });
    begun.map_err(|error| {
        let is_locked = Trouble::of(&error) == Trouble::Locked;
        let error = BackupError::database(path, &error);
        if is_locked { Failure::Locked(error) } else { Failure::Other(error) }
    })
}

/// Opens a file that is there. To read in WAL mode, its shared memory must be written.
fn open(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    Ok(connection)
}

/// A part of the archive, as `realtime.archive_parts` names it.
pub(crate) struct ListedPart {
    pub path: String,
    pub bytes: u64,
    /// xxh3-128 of the file, hexadecimal; none of a part that was written before hashes were kept.
    pub hash: Option<String>,
}

impl Seen {
    /// Bytes that it has.
    pub fn bytes(&self) -> Result<u64, BackupError> {
        let sql = "select page_count * page_size from pragma_page_count(), pragma_page_size()";
        let bytes: i64 =
            self.connection.query_row(sql, [], |row| row.get(0)).map_err(|error| self.failed(&error))?;
        Ok(bytes as u64)
    }

    /// The archive's list; empty in a file that is older than that list.
    pub fn archive_parts(&self) -> Result<Vec<ListedPart>, BackupError> {
        let failed = |error: rusqlite::Error| self.failed(&error);
        let columns =
            "select count(*), count(*) filter (where name = 'hash') from pragma_table_info('archive_parts')";
        let columns = self.connection.query_row(columns, [], |row| Ok((row.get(0)?, row.get(1)?)));
        let list = match columns.map_err(failed)? {
            (0i64, _) => return Ok(Vec::new()),
            (_, 0i64) => "select path, bytes, null as hash from archive_parts order by path",
            _ => "select path, bytes, hash from archive_parts order by path",
        };
        let mut statement = self.connection.prepare(list).map_err(failed)?;
        let parts = statement.query_map([], |row| {
            let bytes: i64 = row.get("bytes")?;
            let bytes =
                u64::try_from(bytes).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(1, bytes))?;
            Ok(ListedPart { path: row.get("path")?, bytes, hash: row.get("hash")? })
        });
        parts.and_then(Iterator::collect).map_err(failed)
    }

    /// Copies it to a new path, as it was at the moment, however much is written meanwhile.
    pub fn copy_to(
        &self,
        to: &Path,
        progress: &Progress,
        shutdown: &Shutdown,
    ) -> Result<Content, BackupError> {
        // SQLite would make the file for everybody to read.
        let file = create_private(to)?;
        let copied = self.copy_pages(to, progress, shutdown);
        copied.and_then(|()| {
            file.sync_all().map_err(BackupError::file("write", to))?;
            content_of(to, &Progress::new(), shutdown)
        })
    }

    fn copy_pages(&self, to: &Path, progress: &Progress, shutdown: &Shutdown) -> Result<(), BackupError> {
        let failed = |error: rusqlite::Error| BackupError::database(to, &error);
        let mut target = open(to).map_err(failed)?;
        // A copy that is interrupted is thrown away; a whole one is synced by us.
        target.execute_batch("pragma journal_mode = off; pragma synchronous = off").map_err(failed)?;
        {
            let backup = Backup::new(&self.connection, &mut target).map_err(failed)?;
            let page_bytes = self.page_bytes()?;
            loop {
                if shutdown.is_triggered() {
                    return Err(BackupError::Stopped);
                }
                let before = backup.progress().remaining;
                let step = backup.step(PAGES_A_STEP).map_err(|error| self.failed(&error))?;
                let now = backup.progress();
                let first = if before == 0 { now.pagecount } else { before };
                progress.add(u64::from((first - now.remaining).max(0).unsigned_abs()) * page_bytes);
                match step {
                    StepResult::Done => break,
                    StepResult::More => {}
                    _ => {
                        shutdown.sleep(Duration::from_millis(5));
                    }
                }
            }
        }
        target.close().map_err(|(_, error)| failed(error))?;
        for suffix in ["-wal", "-shm", "-journal"] {
            let mut beside = to.as_os_str().to_owned();
            beside.push(suffix);
            let _ = fs::remove_file(beside);
        }
        Ok(())
    }

    fn page_bytes(&self) -> Result<u64, BackupError> {
        let bytes: i64 = self
            .connection
            .query_row("pragma page_size", [], |row| row.get(0))
            .map_err(|error| self.failed(&error))?;
        Ok(bytes as u64)
    }

    fn failed(&self, error: &rusqlite::Error) -> BackupError {
        BackupError::database(&self.path, error)
    }
}
