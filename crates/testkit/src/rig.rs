//! A pipeline in the test's own process: an event log, a warehouse, and the stream processor between
//! them. Tests of a crate add to it what that crate has.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use adpipe_log::sqlite::SqliteLog;
use adpipe_log::{EventLog, Headers, Records, Topic, append_and_wait};
use adpipe_metrics::Metrics;
use adpipe_runtime::Shutdown;
use adpipe_stream::{StreamConfig, backlog, processor};
use adpipe_warehouse::postgres::{PostgresSettings, PostgresWarehouse};
use adpipe_warehouse::sqlite::SqliteWarehouse;
use adpipe_warehouse::{Schema, Value, Warehouse, query_table};
use tempfile::TempDir;

use crate::postgres::Postgres;
use crate::{eventually, eventually_eq};

/// Records of one append.
const RECORDS_AT_ONCE: usize = 5_000;

/// A log and a warehouse on their own; everything goes away with it.
pub struct Rig {
    /// Where the embedded stores are.
    pub folder: TempDir,
    /// The embedded event log.
    pub log: Arc<dyn EventLog>,
    /// The embedded warehouse, or one in PostgreSQL.
    pub warehouse: Arc<dyn Warehouse>,
    /// What its processors count.
    pub metrics: Metrics,
    /// Lives as long as its last user.
    _server: Option<Arc<Postgres>>,
}

/// A record to append.
pub struct Draft {
    /// What decides the partition.
    pub key: Vec<u8>,
    /// The record itself.
    pub payload: Vec<u8>,
    /// What is said about it: its format, or why it is in error.
    pub headers: Headers,
}

impl Rig {
    /// With an embedded warehouse.
    pub fn sqlite() -> Rig {
        let folder = tempfile::tempdir().unwrap();
        let warehouse = Arc::new(SqliteWarehouse::open(folder.path()).unwrap());
        Rig::new(folder, warehouse)
    }

    /// With a new database of this server as its warehouse.
    pub fn postgres(server: Arc<Postgres>) -> Rig {
        let rig = Rig::on_server(&server);
        Rig { _server: Some(server), ..rig }
    }

    /// [`Rig::postgres`] with a server that the test stops and starts.
    pub fn on_server(server: &Postgres) -> Rig {
        let settings = PostgresSettings::from_url(&server.new_database()).unwrap();
        Rig::new(tempfile::tempdir().unwrap(), Arc::new(PostgresWarehouse::open(settings).unwrap()))
    }

    /// One with each of the two databases; without PostgreSQL, one ([`crate::skip`]).
    pub fn both(test: &str) -> impl Iterator<Item = Rig> + '_ {
        std::iter::once_with(Rig::sqlite)
            .chain(std::iter::once_with(move || Postgres::shared(test).map(Rig::postgres)).flatten())
    }

    fn new(folder: TempDir, warehouse: Arc<dyn Warehouse>) -> Rig {
        let log = Arc::new(SqliteLog::open(folder.path()).unwrap());
        Rig { folder, log, warehouse, metrics: Metrics::new("test").unwrap(), _server: None }
    }

    /// Appends records and waits until they are durable.
    pub fn append(&self, topic: Topic, drafts: &[Draft]) {
        for drafts in drafts.chunks(RECORDS_AT_ONCE) {
            let make = || {
                let mut records = Records::new();
                for draft in drafts {
                    let headers = records.add_headers(draft.headers.clone());
                    assert!(records.push(&draft.key, &draft.payload, headers));
                }
                records
            };
            append_and_wait(self.log.as_ref(), topic, make, None).unwrap();
        }
    }

    /// Runs this many processors at once until no record waits.
    pub fn process(&self, processors: usize, config: StreamConfig) {
        let config = StreamConfig { linger: Duration::from_millis(5), ..config };
        let running: Vec<Background> = (0..processors).map(|_| self.stream(config.clone())).collect();
        eventually("every record is processed", || {
            backlog::records(self.log.as_ref(), self.warehouse.as_ref()).unwrap() == 0
        });
        running.into_iter().for_each(Background::end);
    }

    /// Starts a processor.
    pub fn stream(&self, config: StreamConfig) -> Background {
        let (log, warehouse, metrics) =
            (Arc::clone(&self.log), Arc::clone(&self.warehouse), self.metrics.clone());
        Background::start(move |shutdown| {
            processor::run(&config, log.as_ref(), warehouse.as_ref(), &metrics, shutdown).unwrap();
        })
    }

    /// Runs statements on a schema, as an administrator would.
    pub fn execute(&self, schema: Schema, sql: &str) {
        let mut session = self.warehouse.session(schema).unwrap();
        let mut transaction = session.begin().unwrap();
        transaction.script(sql).unwrap();
        transaction.commit().unwrap();
    }

    /// The rows of a query.
    pub fn rows(&self, sql: &str) -> Vec<Vec<Value>> {
        query_table(self.warehouse.as_ref(), sql, &[]).unwrap().rows
    }

    /// The first value of a query; -1 when there is no row.
    pub fn number(&self, sql: &str) -> i64 {
        self.rows(sql).first().map_or(-1, |row| row[0].as_i64().unwrap())
    }

    /// Waits until a query gives this number.
    #[track_caller]
    pub fn await_number(&self, sql: &str, expected: i64) {
        eventually_eq(sql, &expected, || self.number(sql));
    }
}

/// A thread of a role; it ends, at the latest, with this.
pub struct Background {
    shutdown: Shutdown,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    /// Starts a role, which has to end when the shutdown is triggered.
    pub fn start(role: impl FnOnce(&Shutdown) + Send + 'static) -> Background {
        let shutdown = Shutdown::new();
        let switch = shutdown.clone();
        Background { shutdown, thread: Some(std::thread::spawn(move || role(&switch))) }
    }

    /// Ends it.
    ///
    /// # Panics
    /// When it panicked.
    pub fn end(mut self) {
        self.shutdown.trigger();
        self.thread.take().expect("it runs").join().unwrap();
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.shutdown.trigger();
        if let Some(thread) = self.thread.take() {
            // A failed test ends by its own panic.
            let _ = thread.join();
        }
    }
}

/// Triggers a shutdown at the end of its scope, also when the test fails there.
pub struct Ends<'s>(pub &'s Shutdown);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.trigger();
    }
}

/// Every record of a topic, in order of partition and offset.
pub fn records(log: &dyn EventLog, topic: Topic) -> Vec<Draft> {
    let mut records = Vec::new();
    for range in log.ranges(topic).unwrap() {
        let mut from = range.first;
        while from < range.next {
            for batch in log.read(topic, range.partition, from, 1 << 20).unwrap() {
                from = batch.next_offset();
                records.extend(batch.iter().map(|record| Draft {
                    key: record.key.to_vec(),
                    payload: record.payload.to_vec(),
                    headers: record.headers.clone(),
                }));
            }
        }
    }
    records
}
