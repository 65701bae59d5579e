//! The embedded log: one SQLite file, `log.db`.
//!
//! One thread appends ([`appender`]): it takes everything that waits, makes it one transaction
//! and one fsync (group commit), and only then answers. Readers use connections of their own.
//! Another adpipe process may append to and read the same file at the same time: SQLite's write
//! lock gives out the offsets, and WAL keeps readers out of the writer's way.

mod appender;
mod consumer;
mod damage;
mod identity;
mod partition;
mod read;
mod retention;
mod sums;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use adpipe_sql::pool::{Pool, PoolBusy, READERS};
use adpipe_sql::section;
use adpipe_sql::sqlite::{Durability, Migration, migrate, open};
use rusqlite::Connection;

use crate::{
    AppendTicket, Consumer, EventLog, LogError, LogGap, LogIdentity, Offset, PartitionRange, RecordBatch,
    Records, RetentionPolicy, Retired, SourcePosition, Topic,
};

const READ_SQL: &str = include_str!("../../sql/sqlite/read.sql");
const INTEGRITY_CHECK: &str = section(READ_SQL, "integrity_check");

const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "log", sql: include_str!("../../sql/sqlite/0001_log.sql") },
    Migration { version: 2, name: "identity", sql: include_str!("../../sql/sqlite/0002_identity.sql") },
];

pub use identity::Raised;

/// The event log in one SQLite file.
pub struct SqliteLog {
    shared: Arc<Shared>,
    appender: Option<std::thread::JoinHandle<()>>,
}

/// What the log, its appender and its consumers have in common.
pub(crate) struct Shared {
    path: PathBuf,
    queue: appender::Queue,
    readers: Pool<Connection>,
    appended: AppendSignal,
}

/// Wakes consumers of this process when something was appended.
#[derive(Default)]
struct AppendSignal {
    count: Mutex<u64>,
    changed: Condvar,
}

impl AppendSignal {
    fn raise(&self) {
        *lock(&self.count) += 1;
        self.changed.notify_all();
    }

    fn count(&self) -> u64 {
        *lock(&self.count)
    }

    /// Waits until the count is no longer `seen`, or the time is over.
    fn wait(&self, seen: u64, timeout: std::time::Duration) {
        let count = lock(&self.count);
        drop(self.changed.wait_timeout_while(count, timeout, |count| *count == seen));
    }
}

/// A thread that panicked while it held one of our locks left no half-made state behind:
/// every update below is a single push, take or addition.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SqliteLog {
    /// Opens `folder/log.db`, making folder and file when they are missing.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] or [`LogError::Corrupt`], with what to do.
    pub fn open(folder: &Path) -> Result<SqliteLog, LogError> {
        let path = folder.join("log.db");
        adpipe_sql::private::folder(folder).map_err(|error| {
            let reason = format!("cannot create the folder: {error}");
            LogError::unavailable(folder, reason, "create it by hand, or name another folder")
        })?;
        let sqlite_error = |error: rusqlite::Error| LogError::from_sqlite(&path, &error);
        let mut connection = open(&path, Durability::EveryCommit).map_err(sqlite_error)?;
        migrate(&mut connection, "main", MIGRATIONS).map_err(|error| match error {
            adpipe_sql::sqlite::MigrateError::Sqlite { source, .. } => LogError::from_sqlite(&path, &source),
            too_new => LogError::Corrupt {
                place: path.display().to_string(),
                reason: too_new.to_string(),
                advice: "update adpipe".into(),
            },
        })?;
        identity::complete(&mut connection).map_err(sqlite_error)?;

        let shared = Arc::new(Shared {
            path,
            queue: appender::Queue::default(),
            readers: Pool::new(READERS),
            appended: AppendSignal::default(),
        });
        let for_thread = Arc::clone(&shared);
        let appender = std::thread::Builder::new()
            .name("log-append".to_owned())
            .spawn(move || appender::run(&for_thread, connection))
            .map_err(|error| {
                let reason = format!("cannot start the append thread: {error}");
                LogError::unavailable(&shared.path, reason, "raise the limit on threads for this user")
            })?;
        Ok(SqliteLog { shared, appender: Some(appender) })
    }
}

impl SqliteLog {
    /// Gives the next record of each partition this offset, if it would get a smaller one. What is
    /// skipped is a gap from then on, and a new epoch begins, all of it in one transaction.
    ///
    /// # Errors
    /// [`LogError`] when the file cannot be read or written.
    pub fn begin_at_least(&self, floors: &[(Topic, u32, Offset)]) -> Result<Vec<Raised>, LogError> {
        self.shared.with_reader(|connection| identity::raise(connection, floors))
    }

    /// Has SQLite check every page of the file and every index against its rows; what it finds, one
    /// line each. Checksums of rows and records are checked when they are read.
    ///
    /// # Errors
    /// [`LogError`] when the file cannot be read at all.
    pub fn check(&self) -> Result<Vec<String>, LogError> {
        self.shared.with_reader(|connection| {
            let mut statement = connection.prepare(INTEGRITY_CHECK)?;
            let lines: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
            Ok(lines.into_iter().filter(|line| line != "ok").collect())
        })
    }
}

impl Drop for SqliteLog {
    /// Writes out what is queued, then ends the append thread.
    fn drop(&mut self) {
        self.shared.queue.close();
        if let Some(appender) = self.appender.take() {
            let _ = appender.join();
        }
    }
}

impl Shared {
    /// Runs `work` on a separate connection from a small pool. One that failed is closed.
    fn with_reader<T>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, LogError> {
        let loan = self
            .readers
            .take()
            .map_err(|busy| LogError::unavailable(&self.path, busy.to_string(), PoolBusy::ADVICE))?;
        let mut connection = match loan.reuse() {
            Some((connection, _)) => connection,
            None => open(&self.path, Durability::EveryCommit).map_err(|error| self.failure(&error))?,
        };
        let result = work(&mut connection).map_err(|error| self.failure(&error));
        if result.is_ok() {
            loan.keep(connection);
        }
        result
    }

    fn failure(&self, error: &rusqlite::Error) -> LogError {
        LogError::from_sqlite(&self.path, error)
    }

    fn ranges(&self, topic: Topic) -> Result<Vec<PartitionRange>, LogError> {
        self.with_reader(|connection| partition::read_all(connection, topic))
    }
}

impl EventLog for SqliteLog {
    fn identity(&self) -> Result<LogIdentity, LogError> {
        self.shared.with_reader(|connection| identity::read(connection))
    }

    fn is_dense(&self) -> bool {
        true
    }

    fn gaps(&self, topic: Topic) -> Result<Vec<LogGap>, LogError> {
        self.shared.with_reader(|connection| identity::gaps(connection, topic))
    }

    fn append(
        &self,
        topic: Topic,
        records: Records,
        position: Option<SourcePosition>,
    ) -> Result<AppendTicket, LogError> {
        self.shared.queue.push(topic, records, position)
    }

    fn ranges(&self, topic: Topic) -> Result<Vec<PartitionRange>, LogError> {
        self.shared.ranges(topic)
    }

    fn read(
        &self,
        topic: Topic,
        partition: u32,
        from: Offset,
        max_bytes: usize,
    ) -> Result<Vec<RecordBatch>, LogError> {
        read::read(&self.shared, topic, partition, from, max_bytes)
    }

    fn consume(&self, topic: Topic) -> Result<Box<dyn Consumer>, LogError> {
        Ok(Box::new(consumer::SqliteConsumer::new(Arc::clone(&self.shared), topic)))
    }

    fn source_position(&self, source: &str) -> Result<Option<u64>, LogError> {
        self.shared.with_reader(|connection| read::source_position(connection, source))
    }

    fn retire(&self, policy: RetentionPolicy, floors: &[(Topic, u32, Offset)]) -> Result<Retired, LogError> {
        retention::retire(&self.shared, policy, floors)
    }

    fn check_storage(&self) -> Result<Option<Vec<String>>, LogError> {
        self.check().map(Some)
    }

    fn location(&self) -> String {
        self.shared.path.display().to_string()
    }
}
