//! The warehouse: events, metrics, the account of what was counted, and where to continue.
//!
//! [`Warehouse`] is the trait of a database, [`WarehouseRead`] its part that only reads, which a
//! snapshot is, too. [`sqlite::SqliteWarehouse`] keeps one file for each schema,
//! [`postgres::PostgresWarehouse`] uses a PostgreSQL server. The stream processor takes a
//! [`StreamWriter`] and, for each micro-batch, one [`StreamTransaction`]: claim the offsets, insert the
//! events (the database says which were already there), add the metrics, record the commit; all of it
//! becomes visible at once. Everything else either reads (typed figures in [`report`], anything else
//! with [`WarehouseRead::query`] and typed [`Row`]s) or writes its own small tables (errors, runs,
//! marts) in a [`Session`].
//!
//! SQL is in `sql/`, by database; `sql/report/` has what both understand.

pub mod archive;
pub mod audit;
mod commit;
pub mod covered;
mod error;
pub mod errors;
mod from_value;
pub mod guarded;
mod id_set;
pub mod identity;
pub mod invalid;
mod limits;
pub mod lost;
mod merge_commits;
mod order;
pub mod postgres;
mod replay;
pub mod report;
mod row;
mod row_sum;
mod session;
pub mod sqlite;
pub mod sums;
mod value;

use std::time::Duration;

use adpipe_event::{EventBatch, Millis};

pub use archive::{ArchiveIds, ArchiveReadError, ArchivedHour, IdsOfHour, PartName, UnreadableHour};
pub use commit::{Commit, Counts, LATENCY_BUCKETS_MS, LatencyCounts, MetricRow};
pub use error::WarehouseError;
pub use from_value::FromValue;
pub use id_set::{IdKey, IdSet};
pub use limits::QueryLimits;
pub(crate) use replay::REPLAYS_KEPT;
pub use replay::{Replay, ReplayOutcome};
pub use row::{FromRow, Row, Table};
pub use row_sum::{added_part, added_sum, offset_sum, row_sum};
pub use session::{Schema, Session, Transaction};
pub use value::Value;

/// Where the processor continues in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionOffset {
    /// Partition number.
    pub partition: u32,
    /// Offset of the first record whose effects are not in the warehouse.
    pub next_offset: u64,
}

/// What became of a batch's events.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Inserted {
    /// One for each event of the batch, by index: true when it is new.
    pub is_new: Vec<bool>,
    /// Events that the database itself refuses, by index, with its reason. Not new either.
    pub refused: Vec<(usize, String)>,
}

/// What retention removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retired {
    /// Rows of the minute metrics.
    pub minute_rows: u64,
    /// Rows of the account that were merged into others.
    pub commits: u64,
    /// Events that are in the archive and went out of the hot window.
    pub events: u64,
}

/// What the warehouse keeps, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct RetentionPolicy {
    /// Minute metrics, counted back from the newest minute.
    pub minutes: Duration,
    /// Single commits, counted back from now; older ones are merged by the hour.
    pub commits: Duration,
    /// Hot events, counted back from the newest hour; older ones go once the archive has them.
    pub events: Duration,
}

impl RetentionPolicy {
    /// Commits before this time are merged: the beginning of an hour.
    pub(crate) fn commits_before(&self) -> Millis {
        Millis(Millis::now().floor_hour().0 - self.commits.as_millis() as i64)
    }
}

/// Which SQL a warehouse understands, for the few statements where the two truly differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// The embedded database's.
    Sqlite,
    /// PostgreSQL's.
    Postgres,
}

/// Called with each row; false ends the query.
pub type OnRow<'a> = dyn FnMut(Row<'_>) -> bool + 'a;

/// A database with adpipe's schemas, to be read: the warehouse itself, or a snapshot of it.
pub trait WarehouseRead: Send + Sync {
    /// Where to continue in each partition of a topic that has been processed before.
    fn offsets(&self, topic: &str) -> Result<Vec<PartitionOffset>, WarehouseError>;

    /// The newest minute that has metrics.
    fn newest_minute(&self) -> Result<Option<Millis>, WarehouseError>;

    /// Which of these events are in `realtime.events`, by index.
    fn contains(&self, events: &EventBatch) -> Result<Vec<bool>, WarehouseError>;

    /// Runs one reading statement; `$1`, `$2` … stand for `params`. Nothing can be changed by it.
    /// Gives the names of the columns, of a result without rows too.
    fn query(
        &self,
        sql: &str,
        params: &[Value],
        on_row: &mut OnRow<'_>,
    ) -> Result<Vec<String>, WarehouseError>;

    /// Which SQL it understands.
    fn dialect(&self) -> Dialect;

    /// Where the warehouse is, for people; without secrets.
    fn location(&self) -> String;
}

/// A database with adpipe's schemas.
pub trait Warehouse: WarehouseRead {
    /// Notes that a partition of which nothing is stored begins at `first`; does nothing when something
    /// is stored. Safe from a crash before it returns: a processor may only claim what follows a stored
    /// offset, so losing the first commits never skips records.
    fn begin_at(&self, topic: &str, partition: u32, first: u64) -> Result<(), WarehouseError>;

    /// A connection for a stream processor.
    fn stream_writer(&self) -> Result<Box<dyn StreamWriter>, WarehouseError>;

    /// A connection for transactions on the tables of one schema; all the others can be read.
    fn session(&self, writes: Schema) -> Result<Box<dyn Session>, WarehouseError>;

    /// [`query`](WarehouseRead::query) within limits: for statements that a person wrote. SQLite
    /// counts the memory of the whole process and keeps the limit as long as that lives, so nothing
    /// else should run in it.
    ///
    /// # Errors
    /// [`WarehouseError::Stopped`] when it took more, or is not wanted any more.
    fn query_within(
        &self,
        sql: &str,
        limits: &QueryLimits,
        on_row: &mut OnRow<'_>,
    ) -> Result<Vec<String>, WarehouseError>;

    /// A view of this moment for several reads that must fit together.
    fn snapshot(&self) -> Result<Box<dyn WarehouseRead + '_>, WarehouseError>;

    /// Makes what is committed safe from a power failure: of the log, nothing may be dropped before.
    fn sync(&self) -> Result<(), WarehouseError>;

    /// Removes what the policy no longer keeps.
    fn retire(&self, policy: RetentionPolicy) -> Result<Retired, WarehouseError>;

    /// Whether a schema must not be written to now: see [`guarded`].
    fn is_stopped(&self, _schema: Schema) -> bool {
        false
    }

    /// What is wrong with the files that hold it, in words: pages, indexes that do not have their
    /// rows, definitions of tables. None where a server keeps its own files.
    fn check_storage(&self) -> Result<Option<Vec<String>>, WarehouseError> {
        Ok(None)
    }
}

/// The whole result of a query in memory. For results known to be small.
pub fn query_table(
    warehouse: &dyn WarehouseRead,
    sql: &str,
    params: &[Value],
) -> Result<Table, WarehouseError> {
    let mut rows = Vec::new();
    let columns = warehouse.query(sql, params, &mut |row| {
        rows.push(row.values().to_vec());
        true
    })?;
    Ok(Table { columns, rows })
}

/// What a query gives, row by row read as `T`.
///
/// # Errors
/// Failures of the warehouse, and as [`Row::get`].
pub fn query_as<T: FromRow>(
    warehouse: &dyn WarehouseRead,
    sql: &str,
    params: &[Value],
) -> Result<Vec<T>, WarehouseError> {
    let mut read = Vec::new();
    for_each_row(warehouse, sql, params, |row| {
        read.push(T::from_row(&row)?);
        Ok::<(), WarehouseError>(())
    })?;
    Ok(read)
}

/// Does `work` with each row of a query, up to the first that it fails at.
///
/// # Errors
/// Failures of the warehouse, or of `work`.
pub fn for_each_row<E: From<WarehouseError>>(
    warehouse: &dyn WarehouseRead,
    sql: &str,
    params: &[Value],
    mut work: impl FnMut(Row<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut outcome = Ok(());
    warehouse.query(sql, params, &mut |row| {
        outcome = work(row);
        outcome.is_ok()
    })?;
    outcome
}

/// One connection that writes the effects of micro-batches.
pub trait StreamWriter: Send {
    /// Starts a transaction. Dropped without commit, it leaves nothing behind.
    fn begin(&mut self) -> Result<Box<dyn StreamTransaction + '_>, WarehouseError>;
}

/// The effects of one micro-batch, all or none.
pub trait StreamTransaction {
    /// Moves a partition's offset from `first` to `next`.
    ///
    /// # Errors
    /// [`WarehouseError::Fenced`] when the stored offset is not `first`, or there is none (see
    /// [`Warehouse::begin_at`]): another process has processed these records, or the database has lost
    /// its newest commits. Drop this transaction and continue from the stored offset.
    fn claim(&mut self, topic: &str, partition: u32, first: u64, next: u64) -> Result<(), WarehouseError>;

    /// What the archive holds of these hours, as it stays until this transaction ends. Asked
    /// before the first event is inserted.
    fn archived_hours(&mut self, hours: &[Millis]) -> Result<Vec<ArchivedHour>, WarehouseError>;

    /// Blocks everything else that inserts events or adds to the archive until this transaction ends.
    /// Call it first when you add to the archive.
    fn lock_archive(&mut self) -> Result<(), WarehouseError>;

    /// Inserts events; the primary key decides which of them are new, within the batch too
    /// (the first one wins).
    fn insert_events(&mut self, events: &EventBatch) -> Result<Inserted, WarehouseError> {
        self.insert_events_except(events, &[])
    }

    /// The same, without the events for which `except` holds; it has one value an event, or none.
    fn insert_events_except(
        &mut self,
        events: &EventBatch,
        except: &[bool],
    ) -> Result<Inserted, WarehouseError>;

    /// Runs a statement without a result on schema `realtime`; gives the number of rows it changed.
    fn execute(&mut self, sql: &str, params: &[Value]) -> Result<u64, WarehouseError>;

    /// Runs a statement with a result, which must be small.
    fn query(&mut self, sql: &str, params: &[Value]) -> Result<Table, WarehouseError>;

    /// Adds to the minute metrics and to the hourly metrics. Both are best sorted by key.
    fn add_metrics(
        &mut self,
        minutes: &[MetricRow<'_>],
        hours: &[MetricRow<'_>],
    ) -> Result<(), WarehouseError>;

    /// Writes the account of this batch.
    fn record(&mut self, commits: &[Commit]) -> Result<(), WarehouseError>;

    /// Writes what became of records that the dead-letter queue sent again.
    fn record_replays(&mut self, replays: &[Replay]) -> Result<(), WarehouseError>;

    /// Makes it all visible.
    fn commit(self: Box<Self>) -> Result<(), WarehouseError>;
}
