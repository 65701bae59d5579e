//! A whole pipeline in this process, as the monitor looks at it.
#![allow(dead_code, reason = "each test uses what it needs")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use adpipe_dlq::{Dlq, DlqSettings};
use adpipe_event::Millis;
use adpipe_log::sqlite::SqliteLog;
use adpipe_log::{EventLog, Headers, Records, Topic};
use adpipe_metrics::Metrics;
use adpipe_monitor::figures::{Measure, Sources, measure};
use adpipe_monitor::pulse::Pulse;
use adpipe_monitor::signal::{Reading, Signal};
use adpipe_runtime::Shutdown;
use adpipe_stream::{StreamConfig, backlog, processor};
use adpipe_testkit::postgres::Postgres;
use adpipe_warehouse::postgres::{PostgresSettings, PostgresWarehouse};
use adpipe_warehouse::sqlite::SqliteWarehouse;
use adpipe_warehouse::{Schema, Value, Warehouse, query_table};

pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Rig {
    pub folder: tempfile::TempDir,
    pub log: Arc<dyn EventLog>,
    pub warehouse: Arc<dyn Warehouse>,
    pub metrics: Metrics,
    pub pulse: Pulse,
    _server: Option<Arc<Postgres>>,
}

/// The same test on both databases.
pub fn on_both(test: &str, check: impl Fn(&Rig)) {
    let folder = tempfile::tempdir().unwrap();
    let warehouse = Arc::new(SqliteWarehouse::open(folder.path()).unwrap());
    check(&Rig::new(folder, warehouse, None));
    if let Some(server) = Postgres::shared(test) {
        let settings = PostgresSettings::from_url(&server.new_database()).unwrap();
        let warehouse = Arc::new(PostgresWarehouse::open(settings).unwrap());
        check(&Rig::new(tempfile::tempdir().unwrap(), warehouse, Some(server)));
    }
}

impl Rig {
    pub fn new(
        folder: tempfile::TempDir,
        warehouse: Arc<dyn Warehouse>,
        server: Option<Arc<Postgres>>,
    ) -> Rig {
        let log: Arc<dyn EventLog> = Arc::new(SqliteLog::open(folder.path()).unwrap());
        let (metrics, pulse) = (Metrics::new("test").unwrap(), Pulse::new());
        Rig { folder, log, warehouse, metrics, pulse, _server: server }
    }

    pub fn sources(&self) -> Sources {
        Sources::new(Arc::clone(&self.log), Arc::clone(&self.warehouse), self.pulse.clone())
    }

    pub fn append(&self, payloads: &[String]) {
        let mut records = Records::new();
        let headers = records.add_headers(Headers::default());
        for payload in payloads {
            assert!(records.push(payload.as_bytes(), payload.as_bytes(), headers));
        }
        self.log.append(Topic::Raw, records, None).unwrap().wait().unwrap();
    }

    /// Runs the processor and the queue until nothing waits.
    pub fn process(&self) {
        let stop = Shutdown::new();
        let config = StreamConfig { linger: Duration::from_millis(5), ..StreamConfig::default() };
        let (log, warehouse) = (Arc::clone(&self.log), Arc::clone(&self.warehouse));
        let dlq = Dlq::new(DlqSettings::default(), log, warehouse, self.metrics.clone());
        std::thread::scope(|scope| {
            let (log, warehouse) = (self.log.as_ref(), self.warehouse.as_ref());
            scope.spawn(|| processor::run(&config, log, warehouse, &self.metrics, &stop).unwrap());
            scope.spawn(|| adpipe_dlq::role::run(&dlq, &stop).unwrap());
            let waits = || {
                let events: u64 = backlog::lag(log, warehouse).unwrap().iter().map(|lag| lag.records).sum();
                let errors: u64 =
                    adpipe_dlq::role::lag_of(log, warehouse).unwrap().iter().map(|(_, lag)| lag).sum();
                events + errors
            };
            eventually("everything is processed", || waits() == 0);
            stop.trigger();
        });
    }

    /// Statements on a schema, as an administrator would run them.
    pub fn execute(&self, schema: Schema, sql: &str) {
        let mut session = self.warehouse.session(schema).unwrap();
        let mut transaction = session.begin().unwrap();
        transaction.script(sql).unwrap();
        transaction.commit().unwrap();
    }

    pub fn rows(&self, sql: &str) -> Vec<Vec<Value>> {
        query_table(self.warehouse.as_ref(), sql, &[]).unwrap().rows
    }
}

pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "{what} does not come true");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub fn over(signal: Signal, window_s: u64) -> Measure {
    Measure { signal, window: Duration::from_secs(window_s), short_window: None, records: 0 }
}

pub fn readings(sources: &Sources, what: &Measure, now: Millis) -> Vec<Reading> {
    measure(sources, what, now).unwrap_or_else(|error| panic!("{what:?}: {error}"))
}

/// The one value of a signal.
pub fn value(sources: &Sources, what: &Measure, now: Millis) -> f64 {
    let found = readings(sources, what, now);
    assert_eq!(found.len(), 1, "{what:?}: {found:?}");
    found[0].value
}

/// A value of the series that has this label.
pub fn of(found: &[Reading], label: &str, name: &str) -> f64 {
    let reading = found.iter().find(|reading| reading.labels.get(label).is_some_and(|is| is == name));
    reading.unwrap_or_else(|| panic!("{name} is not in {found:?}")).value
}

pub fn event(id: usize, banner_pos: i64) -> String {
    format!(
        r#"{{"id":"e{id}","click":0,"hour":"14102100","banner_pos":{banner_pos},"site_id":"s","site_domain":"d","site_category":"c","app_id":"a","app_domain":"ad","app_category":"ac","device_id":"i","device_ip":"p","device_model":"m","device_type":1,"device_conn_type":0}}"#
    )
}

pub fn later(now: Millis, seconds: i64) -> Millis {
    Millis(now.0 + seconds * 1_000)
}
