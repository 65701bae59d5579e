//! The production warehouse: PostgreSQL 15 or newer.
//!
//! `settings` says where it is, `connect` opens connections, `migrate` brings the schemas up to
//! date. `stream` is the processor's transaction; `insert` how its events get in, by way of
//! `copy`; `id_sets` the hint that keeps COPY from meeting conflicts; `partitions` the days of
//! `realtime.events`. `pool`, `query`, `limited`, `read` and `snapshot` are for readers. `pooler`
//! finds out whether sessions are shared with other clients. `failure` turns the server's words into
//! what a person can do.
//!
//! The driver is the blocking one: callers are threads, as on SQLite. It must not be called from
//! async code.

mod connect;
mod copy;
mod failure;
mod id_sets;
mod insert;
mod limited;
mod migrate;
mod partitions;
mod pool;
mod pooler;
mod query;
mod read;
mod retention;
mod session;
mod settings;
mod snapshot;
mod statements;
mod stream;
#[cfg(feature = "postgres-tls")]
mod tls;
mod wire;

use adpipe_event::{EventBatch, Millis};
use adpipe_sql::pool::{READERS, SNAPSHOTS};
use adpipe_sql::section;
use postgres::Client;

use self::connect::{Purpose, connect, connect_first, inspect, refuse_read_only};
use self::failure::failure;
use self::pool::Pool;
use crate::merge_commits;
use crate::row_sum::offset_sum;
use crate::{
    Dialect, OnRow, PartitionOffset, QueryLimits, RetentionPolicy, Retired, Schema, Session, StreamWriter,
    Value, Warehouse, WarehouseError, WarehouseRead,
};

pub use self::settings::{PostgresSettings, has_password, is_postgres, masked};

const SESSION_SQL: &str = include_str!("../../sql/postgres/session.sql");
const DURABLE: &str = section(SESSION_SQL, "durable");
const SYNC: &str = section(SESSION_SQL, "sync");

const STREAM_SQL: &str = include_str!("../../sql/postgres/stream.sql");
const BEGIN_AT: &str = section(STREAM_SQL, "begin_at");

/// A PostgreSQL database with adpipe's schemas.
pub struct PostgresWarehouse {
    settings: PostgresSettings,
    readers: Pool,
    snapshots: Pool,
}

impl PostgresWarehouse {
    /// Connects, makes what is missing and brings it up to date. A standby is enough for reading, and
    /// so is a user who may only read, once the schemas exist.
    ///
    /// # Errors
    /// [`WarehouseError::Unavailable`] or [`WarehouseError::Unusable`], with what to do, within
    /// ten seconds or so.
    pub fn open(settings: PostgresSettings) -> Result<PostgresWarehouse, WarehouseError> {
        let mut client = connect_first(&settings, Purpose::Writing)?;
        let server = inspect(&settings, &mut client)?;
        if !migrate::is_current(&settings, &mut client)? {
            refuse_read_only(&settings, &server)?;
            migrate::migrate(&mut client).map_err(|error| failure(settings.location(), &error))?;
        }
        let (readers, snapshots) =
            (Pool::new(settings.clone(), READERS), Pool::new(settings.clone(), SNAPSHOTS));
        Ok(PostgresWarehouse { readers, snapshots, settings })
    }

    /// True when adpipe's schemas are there.
    ///
    /// # Errors
    /// The same as [`open`](Self::open).
    pub fn is_prepared(settings: &PostgresSettings) -> Result<bool, WarehouseError> {
        let mut client = connect_first(settings, Purpose::Reading)?;
        let version = migrate::version(&mut client);
        version.map(|version| version > 0).map_err(|error| failure(settings.location(), &error))
    }

    /// Fails when nothing can be written here, with what to do. For processes that write, at their
    /// start: [`open`](Self::open) takes a standby, too.
    ///
    /// # Errors
    /// The same as [`open`](Self::open).
    pub fn must_take_writes(settings: &PostgresSettings) -> Result<(), WarehouseError> {
        let mut client = connect_first(settings, Purpose::Writing)?;
        let server = inspect(settings, &mut client)?;
        refuse_read_only(settings, &server)
    }

    /// Whether the processor could work here; gives the server's version, as `15.4`.
    ///
    /// # Errors
    /// What prevents it, with what to do.
    pub fn check(&self) -> Result<String, WarehouseError> {
        let mut client = connect(&self.settings, Purpose::Writing)?;
        let server = inspect(&self.settings, &mut client)?;
        refuse_read_only(&self.settings, &server)?;
        stream::PostgresWriter::prepare(client, &self.settings)?;
        Ok(format!("{}.{}", server.version / 10_000, server.version % 10_000))
    }

    /// Drops the day of event time that holds `day` when the archive has all of its events, by
    /// `realtime.hours`. Gives how many there were; none when there is no such day.
    ///
    /// # Errors
    /// [`WarehouseError::Statement`] when it has other events, which are then kept with the rest.
    pub fn drop_archived_day(&self, day: Millis) -> Result<Option<u64>, WarehouseError> {
        partitions::drop_day(&self.settings, partitions::Day::of(day))
    }

    fn merge_commits(&self, policy: RetentionPolicy) -> Result<u64, WarehouseError> {
        let mut session = self.session(Schema::Realtime)?;
        let mut transaction = session.begin()?;
        let is_ours: bool = transaction.query(retention::TRY_LOCK, &[])?.one()?.get("is_ours")?;
        if !is_ours {
            return Ok(0);
        }
        let before = policy.commits_before().to_string();
        let merged = merge_commits::merge(transaction.as_mut(), retention::MERGEABLE_COMMITS, &before)?;
        transaction.commit()?;
        Ok(merged)
    }

    fn read<T>(
        &self,
        work: impl FnOnce(&mut Client) -> Result<T, postgres::Error>,
    ) -> Result<T, WarehouseError> {
        self.readers.with(|client| work(client).map_err(|error| failure(self.settings.location(), &error)))
    }
}

impl stream::PostgresWriter {
    fn prepare(
        mut client: Client,
        settings: &PostgresSettings,
    ) -> Result<stream::PostgresWriter, WarehouseError> {
        let fail = |error: postgres::Error| failure(settings.location(), &error);
        partitions::make_ahead(&mut client).map_err(fail)?;
        let statements = statements::Statements::prepare(&mut client).map_err(fail)?;
        Ok(stream::PostgresWriter {
            client,
            statements,
            settings: settings.clone(),
            ids: id_sets::IdSets::new(id_sets::MAX_IDS),
            days: partitions::KnownDays::default(),
            prepared: session::Prepared::default(),
        })
    }
}

impl WarehouseRead for PostgresWarehouse {
    fn offsets(&self, topic: &str) -> Result<Vec<PartitionOffset>, WarehouseError> {
        self.read(|client| read::offsets(client, topic))?.read()
    }

    fn newest_minute(&self) -> Result<Option<Millis>, WarehouseError> {
        self.read(read::newest_minute)
    }

    fn contains(&self, events: &EventBatch) -> Result<Vec<bool>, WarehouseError> {
        self.read(|client| read::contains(client, events))
    }

    fn query(
        &self,
        sql: &str,
        params: &[Value],
        on_row: &mut OnRow<'_>,
    ) -> Result<Vec<String>, WarehouseError> {
        self.readers.with(|client| query::run(self.settings.location(), client, sql, params, on_row))
    }

    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    fn location(&self) -> String {
        self.settings.location().to_owned()
    }
}

impl Warehouse for PostgresWarehouse {
    fn begin_at(&self, topic: &str, partition: u32, first: u64) -> Result<(), WarehouseError> {
        let mut client = connect(&self.settings, Purpose::Writing)?;
        let now = wire::Time(Millis::now());
        let sum = offset_sum("realtime.offsets", topic, partition, first).as_i64();
        client
            .batch_execute(DURABLE)
            .and_then(|()| {
                client.execute(BEGIN_AT, &[&topic, &(partition as i32), &(first as i64), &now, &sum])
            })
            .map(drop)
            .map_err(|error| failure(self.settings.location(), &error))
    }

    fn stream_writer(&self) -> Result<Box<dyn StreamWriter>, WarehouseError> {
        let mut client = connect(&self.settings, Purpose::Writing)?;
        let server = inspect(&self.settings, &mut client)?;
        refuse_read_only(&self.settings, &server)?;
        Ok(Box::new(stream::PostgresWriter::prepare(client, &self.settings)?))
    }

    fn session(&self, _writes: Schema) -> Result<Box<dyn Session>, WarehouseError> {
        let mut client = connect(&self.settings, Purpose::Writing)?;
        client.batch_execute(DURABLE).map_err(|error| failure(self.settings.location(), &error))?;
        Ok(Box::new(session::PostgresSession::new(client, self.settings.location())))
    }

    fn query_within(
        &self,
        sql: &str,
        limits: &QueryLimits,
        on_row: &mut OnRow<'_>,
    ) -> Result<Vec<String>, WarehouseError> {
        let mut client = connect(&self.settings, Purpose::Reading)?;
        limited::run(&self.settings, &mut client, sql, limits, on_row)
    }

    fn snapshot(&self) -> Result<Box<dyn WarehouseRead + '_>, WarehouseError> {
        Ok(Box::new(snapshot::PostgresSnapshot::begin(self.snapshots.take()?, &self.settings)?))
    }

    fn sync(&self) -> Result<(), WarehouseError> {
        let mut client = connect(&self.settings, Purpose::Writing)?;
        client.batch_execute(SYNC).map_err(|error| failure(self.settings.location(), &error))
    }

    fn retire(&self, policy: RetentionPolicy) -> Result<Retired, WarehouseError> {
        let newest = self.newest_minute()?;
        let mut client = connect(&self.settings, Purpose::Writing)?;
        let mut retired = partitions::make_ahead(&mut client)
            .and_then(|()| retention::retire(&mut client, policy, newest))
            .map_err(|error| failure(self.settings.location(), &error))?;
        retired.commits = self.merge_commits(policy)?;
        retired.events = partitions::drop_archived_days(&self.settings, &mut client, policy)?;
        Ok(retired)
    }
}
