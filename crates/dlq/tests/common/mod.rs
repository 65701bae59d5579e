//! A whole pipeline in this process: log, warehouse, stream processor and queue.
#![allow(dead_code, reason = "each test uses what it needs")]

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use adpipe_dlq::report::{ErrorLine, list};
use adpipe_dlq::{Dlq, DlqSettings, Filter, Status};
use adpipe_event::Millis;
use adpipe_log::sqlite::SqliteLog;
use adpipe_log::{EventLog, Headers, Records, Topic, append_and_wait};
use adpipe_metrics::Metrics;
use adpipe_runtime::Shutdown;
use adpipe_stream::verify::verify;
use adpipe_stream::{StreamConfig, processor};
use adpipe_testkit::postgres::Postgres;
use adpipe_warehouse::postgres::{PostgresSettings, PostgresWarehouse};
use adpipe_warehouse::sqlite::SqliteWarehouse;
use adpipe_warehouse::{Schema, Value, Warehouse, query_table};

/// How long anything may take before the test gives up.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Rig {
    pub folder: tempfile::TempDir,
    pub log: Arc<dyn EventLog>,
    pub warehouse: Arc<dyn Warehouse>,
    pub metrics: Metrics,
    pub dlq: Dlq,
    stream: Option<(Shutdown, JoinHandle<()>)>,
    roles: Vec<(Shutdown, JoinHandle<()>)>,
    max_future: Duration,
    _server: Option<Arc<Postgres>>,
}

/// Retries that do not keep a test waiting.
pub fn quick() -> DlqSettings {
    DlqSettings {
        base_backoff: Duration::from_millis(20),
        max_backoff: Duration::from_millis(200),
        lease: Duration::from_secs(2),
        max_future: Duration::from_secs(2),
        ..DlqSettings::default()
    }
}

/// The same test on both databases.
pub fn on_both(test: &str, settings: DlqSettings, check: impl Fn(&mut Rig)) {
    check(&mut Rig::sqlite(settings.clone()));
    if let Some(server) = Postgres::shared(test) {
        check(&mut Rig::postgres(server, settings));
    }
}

impl Rig {
    pub fn sqlite(settings: DlqSettings) -> Rig {
        let folder = tempfile::tempdir().unwrap();
        let warehouse = Arc::new(SqliteWarehouse::open(folder.path()).unwrap());
        Rig::new(folder, warehouse, settings, None)
    }

    pub fn postgres(server: Arc<Postgres>, settings: DlqSettings) -> Rig {
        let url = server.new_database();
        let warehouse = Arc::new(PostgresWarehouse::open(PostgresSettings::from_url(&url).unwrap()).unwrap());
        Rig::new(tempfile::tempdir().unwrap(), warehouse, settings, Some(server))
    }

    fn new(
        folder: tempfile::TempDir,
        warehouse: Arc<dyn Warehouse>,
        settings: DlqSettings,
        server: Option<Arc<Postgres>>,
    ) -> Rig {
        let log: Arc<dyn EventLog> = Arc::new(SqliteLog::open(folder.path()).unwrap());
        let metrics = Metrics::new("test").unwrap();
        let max_future = settings.max_future;
        let dlq = Dlq::new(settings, Arc::clone(&log), Arc::clone(&warehouse), metrics.clone());
        Rig {
            folder,
            log,
            warehouse,
            metrics,
            dlq,
            stream: None,
            roles: Vec::new(),
            max_future,
            _server: server,
        }
    }

    /// Starts the stream processor and as many keepers of the queue.
    pub fn start(&mut self, keepers: usize) {
        self.start_stream();
        for _ in 0..keepers {
            self.start_role();
        }
    }

    pub fn start_stream(&mut self) {
        let shutdown = Shutdown::new();
        let (switch, log, warehouse, metrics) =
            (shutdown.clone(), Arc::clone(&self.log), Arc::clone(&self.warehouse), self.metrics.clone());
        let config = StreamConfig { max_future: self.max_future, ..StreamConfig::default() };
        let thread = std::thread::spawn(move || {
            processor::run(&config, log.as_ref(), warehouse.as_ref(), &metrics, &switch).unwrap();
        });
        self.stream = Some((shutdown, thread));
    }

    pub fn start_role(&mut self) {
        let shutdown = Shutdown::new();
        let (switch, dlq) = (shutdown.clone(), self.dlq.clone());
        let thread = std::thread::spawn(move || adpipe_dlq::role::run(&dlq, &switch).unwrap());
        self.roles.push((shutdown, thread));
    }

    pub fn stop_roles(&mut self) {
        for (shutdown, thread) in self.roles.drain(..) {
            shutdown.trigger();
            thread.join().unwrap();
        }
    }

    pub fn stop_stream(&mut self) {
        if let Some((shutdown, thread)) = self.stream.take() {
            shutdown.trigger();
            thread.join().unwrap();
        }
    }

    pub fn send(&self, payloads: &[Vec<u8>]) {
        self.append(
            Topic::Raw,
            payloads.iter().map(|payload| (payload.clone(), Headers::default())).collect(),
        );
    }

    pub fn append(&self, topic: Topic, records: Vec<(Vec<u8>, Headers)>) {
        for records in records.chunks(5_000) {
            let make = || {
                let mut made = Records::new();
                for (payload, headers) in records {
                    let headers = made.add_headers(headers.clone());
                    assert!(made.push(b"", payload, headers));
                }
                made
            };
            append_and_wait(self.log.as_ref(), topic, make, None).unwrap();
        }
    }

    /// Waits until the query gives this number.
    pub fn await_number(&self, sql: &str, expected: i64) {
        let started = Instant::now();
        loop {
            let found = self.number(sql);
            if found == expected {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "{sql}: {found}, not {expected}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn number(&self, sql: &str) -> i64 {
        let table = query_table(self.warehouse.as_ref(), sql, &[]).unwrap();
        table.rows.first().map_or(-1, |row| row[0].as_i64().unwrap())
    }

    pub fn rows(&self, sql: &str) -> Vec<Vec<Value>> {
        query_table(self.warehouse.as_ref(), sql, &[]).unwrap().rows
    }

    pub fn await_status(&self, status: Status, expected: i64) {
        let sql = format!("select count(*) from errors.dlq_errors where status = '{}'", status.as_str());
        self.await_number(&sql, expected);
    }

    pub fn errors(&self, filter: &Filter) -> Vec<ErrorLine> {
        let page = list(&self.dlq, filter, None, 10_000).unwrap();
        assert_eq!(page.next, None);
        page.errors
    }

    /// Statements on a schema, as an administrator would run them.
    pub fn execute(&self, schema: Schema, sql: &str) {
        let mut session = self.warehouse.session(schema).unwrap();
        let mut transaction = session.begin().unwrap();
        transaction.script(sql).unwrap();
        transaction.commit().unwrap();
    }

    /// Everything adds up: the proof of `adpipe verify`, and the counts of the groups.
    pub fn verify(&self) {
        let verdict =
            verify(self.log.as_ref(), self.warehouse.as_ref(), Duration::from_secs(7 * 86_400)).unwrap();
        let gaps: Vec<_> = verdict.checks.iter().filter(|check| !check.holds).collect();
        assert!(gaps.is_empty(), "{gaps:?}");
        let rows = adpipe_warehouse::covered::check_rows(self.warehouse.as_ref()).unwrap();
        assert!(rows.damaged.is_empty() && rows.sound > 0, "{rows:?}");
        let by_group =
            "select fingerprint, status, count(*) from errors.dlq_errors group by 1, 2 order by 1, 2";
        let counted: Vec<Vec<Value>> = self.rows(by_group);
        let mut kept = Vec::new();
        for group in adpipe_dlq::report::groups(&self.dlq).unwrap() {
            for status in Status::ALL {
                let count = group.counts[status as usize];
                if count > 0 {
                    kept.push(vec![
                        Value::from(group.fingerprint.as_str()),
                        Value::from(status.as_str()),
                        Value::Int(count as i64),
                    ]);
                }
            }
        }
        kept.sort_by_key(|row| (row[0].to_string(), row[1].to_string()));
        assert_eq!(counted, kept, "the counts of the groups are not those of the errors");
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        for (shutdown, _) in self.roles.iter().chain(self.stream.iter()) {
            shutdown.trigger();
        }
        let threads = self.roles.drain(..).chain(self.stream.take());
        for (_, thread) in threads {
            // A failed test ends by its own panic.
            let _ = thread.join();
        }
    }
}

/// An event with these changes to its fields.
pub fn event(
    id: &str,
    hour: &str,
    change: impl FnOnce(&mut serde_json::Map<String, serde_json::Value>),
) -> Vec<u8> {
    let mut event = serde_json::json!({
        "id": id, "click": 1, "hour": hour, "banner_pos": 1, "device_type": 1, "device_conn_type": 0,
        "site_id": "s", "site_domain": "d", "site_category": "c", "app_id": "a", "app_domain": "b",
        "app_category": "e", "device_id": "f", "device_ip": "g", "device_model": "h",
    });
    change(event.as_object_mut().unwrap());
    event.to_string().into_bytes()
}

/// RFC 3339, so many milliseconds from now.
pub fn from_now(ms: i64) -> String {
    Millis(Millis::now().0 + ms).to_string().replace(' ', "T") + "Z"
}

pub fn folder_of(rig: &Rig) -> &Path {
    rig.folder.path()
}
