//! The embedded log: one SQLite file, `log.db`.
//!
//! One thread appends ([`appender`]): it takes everything that waits, makes it one transaction
//! and one fsync (group commit), and only then answers. Readers use connections of their own.
//! Another adpipe process may append to and read the same file at the same time: SQLite's write
//! lock gives out the offsets, and WAL keeps readers out of the writer's way.

mod appender;
mod consumer;
mod retention;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use adpipe_sql::section;
use adpipe_sql::sqlite::{Durability, Migration, migrate, open};
use adpipe_sql::trouble::Trouble;
use rusqlite::{Connection, OptionalExtension, params};

use crate::chunk;
use crate::{
    AppendTicket, Consumer, EventLog, LogError, Offset, PartitionRange, RecordBatch, Records,
    RetentionPolicy, Retired, SourcePosition, Topic,
};

const READ_SQL: &str = include_str!("../../sql/sqlite/read.sql");
const CHUNKS_FROM: &str = section(READ_SQL, "chunks_from");
const RANGES: &str = section(READ_SQL, "ranges");
const POSITION: &str = section(READ_SQL, "position");
const BEGIN_AT_LEAST: &str = section(appender::APPEND_SQL, "begin_at_least");

const MIGRATIONS: &[Migration] =
    &[Migration { version: 1, name: "log", sql: include_str!("../../sql/sqlite/0001_log.sql") }];

/// The event log in one SQLite file.
pub struct SqliteLog {
    shared: Arc<Shared>,
    appender: Option<std::thread::JoinHandle<()>>,
}

/// What the log, its appender and its consumers have in common.
pub(crate) struct Shared {
    path: PathBuf,
    queue: appender::Queue,
    readers: Mutex<Vec<Connection>>,
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
        std::fs::create_dir_all(folder).map_err(|error| {
            let reason = format!("cannot make the folder: {error}");
            LogError::unavailable(folder, reason, "make it by hand, or name another folder")
        })?;
        let sqlite_error = |error: rusqlite::Error| LogError::from_sqlite(&path, &error);
        let mut connection = open(&path, Durability::EveryCommit).map_err(sqlite_error)?;
        migrate(&mut connection, "main", MIGRATIONS).map_err(|error| match error {
            adpipe_sql::sqlite::MigrateError::Sqlite { source, .. } => LogError::from_sqlite(&path, &source),
            too_new => {
                LogError::Corrupt { path: path.clone(), reason: too_new.to_string(), advice: "update adpipe" }
            }
        })?;
        make_partitions(&mut connection).map_err(sqlite_error)?;

        let shared = Arc::new(Shared {
            path,
            queue: appender::Queue::default(),
            readers: Mutex::new(Vec::new()),
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
    /// Gives the next record of a partition this offset, if it would get a smaller one; then gives
    /// the offset it would have got.
    ///
    /// # Errors
    /// [`LogError`] when the file cannot be read or written.
    pub fn begin_at_least(
        &self,
        topic: Topic,
        partition: u32,
        offset: Offset,
    ) -> Result<Option<Offset>, LogError> {
        let ranges = self.shared.ranges(topic)?;
        let range = ranges.iter().find(|range| range.partition == partition && range.next < offset);
        let Some(range) = range else { return Ok(None) };
        self.shared.with_reader(|connection| {
            connection.execute(BEGIN_AT_LEAST, params![topic.name(), partition, offset.0 as i64])
        })?;
        Ok(Some(range.next))
    }
}

/// Gives every topic its partitions, once.
fn make_partitions(connection: &mut Connection) -> rusqlite::Result<()> {
    let wanted: u32 = Topic::ALL.iter().map(|topic| topic.default_partitions()).sum();
    let found: u32 = connection.query_row("select count(*) from partitions", [], |row| row.get(0))?;
    if found >= wanted {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    for topic in Topic::ALL {
        for partition in 0..topic.default_partitions() {
            transaction.execute(
                "insert into partitions (topic, partition) values (?1, ?2) on conflict do nothing",
                params![topic.name(), partition],
            )?;
        }
    }
    transaction.commit()
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
    /// Runs `work` on a connection of its own, taken from a small pool.
    fn with_reader<T>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, LogError> {
        let pooled = lock(&self.readers).pop();
        let mut connection = match pooled {
            Some(connection) => connection,
            None => open(&self.path, Durability::EveryCommit).map_err(|error| self.failure(&error))?,
        };
        let result = work(&mut connection).map_err(|error| self.failure(&error));
        if result.is_ok() {
            lock(&self.readers).push(connection);
        }
        result
    }

    fn failure(&self, error: &rusqlite::Error) -> LogError {
        LogError::from_sqlite(&self.path, error)
    }

    fn ranges(&self, topic: Topic) -> Result<Vec<PartitionRange>, LogError> {
        self.with_reader(|connection| {
            let mut statement = connection.prepare_cached(RANGES)?;
            let rows = statement.query_map(params![topic.name()], |row| {
                Ok(PartitionRange {
                    partition: row.get(0)?,
                    first: Offset(row.get::<_, i64>(1)? as u64),
                    next: Offset(row.get::<_, i64>(2)? as u64),
                })
            })?;
            rows.collect()
        })
    }

    fn read(
        &self,
        topic: Topic,
        partition: u32,
        from: Offset,
        max_bytes: usize,
    ) -> Result<Vec<RecordBatch>, LogError> {
        let mut batches = Vec::new();
        let mut damage = None;
        self.with_reader(|connection| {
            let mut statement = connection.prepare_cached(CHUNKS_FROM)?;
            let mut rows = statement.query(params![topic.name(), partition, from.0 as i64])?;
            let mut bytes = 0usize;
            while let Some(row) = rows.next()? {
                let base_offset = Offset(row.get::<_, i64>(0)? as u64);
                let records = row.get::<_, i64>(1)? as u64;
                if base_offset.0 + records <= from.0 {
                    continue;
                }
                let raw_bytes = row.get::<_, i64>(2)? as usize;
                let decoded = chunk::decode(row.get_ref(5)?.as_blob()?, raw_bytes, row.get(3)?);
                let decoded = match decoded {
                    Ok(decoded) if decoded.spans.len() as u64 == records => decoded,
                    Ok(_) => {
                        damage = Some((base_offset, "its record count does not fit".to_owned()));
                        break;
                    }
                    Err(reason) => {
                        damage = Some((base_offset, reason));
                        break;
                    }
                };
                let mut batch = RecordBatch {
                    topic,
                    partition,
                    covered_from: base_offset,
                    base_offset,
                    appended_at_ms: row.get(4)?,
                    data: decoded.data,
                    spans: decoded.spans,
                    header_sets: decoded.header_sets,
                };
                batch.skip_to(from);
                bytes += raw_bytes;
                batches.push(batch);
                if bytes >= max_bytes {
                    break;
                }
            }
            Ok(())
        })?;
        match damage {
            // What is sound comes first; the damage is reported when it is next.
            Some((offset, reason)) if batches.is_empty() => Err(LogError::Corrupt {
                path: self.path.clone(),
                reason: format!("{} partition {partition} offset {offset}: {reason}", topic.name()),
                advice: Trouble::Corrupt.advice(),
            }),
            _ => self.check_start(topic, partition, from, batches),
        }
    }

    /// Records that should be there and are not must never be skipped silently.
    fn check_start(
        &self,
        topic: Topic,
        partition: u32,
        from: Offset,
        batches: Vec<RecordBatch>,
    ) -> Result<Vec<RecordBatch>, LogError> {
        let oldest = match batches.first() {
            Some(first) => first.base_offset,
            None => from,
        };
        if oldest > from {
            return Err(LogError::OutOfRange {
                topic: topic.name(),
                partition,
                wanted: from.0,
                oldest: oldest.0,
            });
        }
        Ok(batches)
    }
}

impl EventLog for SqliteLog {
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
        self.shared.read(topic, partition, from, max_bytes)
    }

    fn consume(&self, topic: Topic) -> Result<Box<dyn Consumer>, LogError> {
        Ok(Box::new(consumer::SqliteConsumer::new(Arc::clone(&self.shared), topic)))
    }

    fn source_position(&self, source: &str) -> Result<Option<u64>, LogError> {
        self.shared.with_reader(|connection| {
            connection
                .prepare_cached(POSITION)?
                .query_row(params![source], |row| row.get::<_, i64>(0))
                .optional()
                .map(|position| position.map(|position| position as u64))
        })
    }

    fn retire(&self, policy: RetentionPolicy, floors: &[(Topic, u32, Offset)]) -> Result<Retired, LogError> {
        retention::retire(&self.shared, policy, floors)
    }

    fn location(&self) -> String {
        self.shared.path.display().to_string()
    }
}
