//! A console on a real socket over a real log and warehouse, and a client made of one socket.
#![allow(dead_code, reason = "each test file uses a part of this")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail by panic")]

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use adpipe_console::{Console, ConsoleConfig, DocsPage, Services};
use adpipe_dlq::{Dlq, DlqSettings};
use adpipe_event::Millis;
use adpipe_generate::{Config, Format, Generator};
use adpipe_log::sqlite::SqliteLog;
use adpipe_log::{EventLog, Headers, Records, Topic, append_and_wait};
use adpipe_metrics::Metrics;
use adpipe_monitor::rules::Rules;
use adpipe_runtime::Shutdown;
use adpipe_stream::{StreamConfig, backlog, processor};
use adpipe_testkit::browser::Browser;
use adpipe_testkit::raw_http::{self, Answer};
use adpipe_transform::{Project, ProjectFiles, Target};
use adpipe_warehouse::sqlite::SqliteWarehouse;
use adpipe_warehouse::{Schema, Warehouse};
use serde_json::{Value, json};

pub struct Harness {
    pub folder: tempfile::TempDir,
    pub log: Arc<SqliteLog>,
    pub warehouse: Arc<SqliteWarehouse>,
    pub address: SocketAddr,
    pub shutdown: Shutdown,
    pub dlq: Dlq,
    serving: Option<JoinHandle<()>>,
}

pub fn config() -> ConsoleConfig {
    ConsoleConfig { port: 0, ..ConsoleConfig::default() }
}

pub fn services(folder: &std::path::Path) -> (Arc<SqliteLog>, Arc<SqliteWarehouse>, Services) {
    let log = Arc::new(SqliteLog::open(folder).unwrap());
    let warehouse = Arc::new(SqliteWarehouse::open(folder).unwrap());
    let metrics = Metrics::new("1.2.3").unwrap();
    let dlq =
        Dlq::new(DlqSettings::default(), Arc::clone(&log) as _, Arc::clone(&warehouse) as _, metrics.clone());
    let services = Services {
        dlq,
        log: Arc::clone(&log) as _,
        warehouse: Arc::clone(&warehouse) as _,
        metrics,
        docs_page: docs_page(Arc::clone(&warehouse) as _),
        project_tests: Arc::new(|| None),
        rules: Arc::new(Rules::built_in().unwrap()),
        version: "1.2.3",
    };
    (log, warehouse, services)
}

/// The docs page of adpipe's own project.
pub fn docs_page(warehouse: Arc<dyn Warehouse>) -> DocsPage {
    Arc::new(move || {
        let target = Target::new(warehouse.dialect());
        let project = Project::load(&ProjectFiles::embedded(), &target, "");
        let page = project.and_then(|project| adpipe_transform::page(warehouse.as_ref(), &project));
        page.map_err(|error| error.to_string())
    })
}

impl Harness {
    pub fn start(config: ConsoleConfig) -> Harness {
        Harness::start_with(config, |_| {})
    }

    /// A console that is told something else; what `change` does not set stays as in `start`.
    pub fn start_with(config: ConsoleConfig, change: impl FnOnce(&mut Services)) -> Harness {
        let folder = tempfile::tempdir().unwrap();
        let (log, warehouse, mut services) = services(folder.path());
        change(&mut services);
        let dlq = services.dlq.clone();
        let shutdown = Shutdown::new();
        let for_console = shutdown.clone();
        let (sender, receiver) = std::sync::mpsc::channel();
        let serving = std::thread::spawn(move || {
            tokio::runtime::Runtime::new().unwrap().block_on(async {
                let console = Console::bind(config, services).await.unwrap();
                sender.send(console.address()).unwrap();
                console.serve(for_console).await.unwrap();
            });
        });
        let address = receiver.recv().unwrap();
        Harness { folder, log, warehouse, address, shutdown, dlq, serving: Some(serving) }
    }

    /// Ends the console and says how long that took.
    pub fn stop(&mut self) -> Duration {
        let started = Instant::now();
        self.shutdown.trigger();
        if let Some(serving) = self.serving.take() {
            serving.join().unwrap();
        }
        started.elapsed()
    }

    pub fn connect(&self) -> TcpStream {
        raw_http::connect(self.address)
    }

    /// Sends a request and reads the answer to its end.
    pub fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        raw_http::send(self.address, method, target, headers, body)
    }

    pub fn get(&self, target: &str) -> Answer {
        self.send("GET", target, &[], b"")
    }

    pub fn post(&self, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.send("POST", "/v1/events", headers, body)
    }

    /// Every record of a topic: key, payload, headers. In order of partition and offset.
    pub fn records(&self, topic: Topic) -> Vec<(Vec<u8>, Vec<u8>, Headers)> {
        let mut records = Vec::new();
        for range in self.log.ranges(topic).unwrap() {
            let mut from = range.first;
            while from < range.next {
                for batch in self.log.read(topic, range.partition, from, 1 << 20).unwrap() {
                    from = batch.next_offset();
                    records.extend(batch.iter().map(|record| {
                        (record.key.to_vec(), record.payload.to_vec(), record.headers.clone())
                    }));
                }
            }
        }
        records
    }

    /// Payloads of a topic, sorted.
    pub fn payloads(&self, topic: Topic) -> Vec<Vec<u8>> {
        let mut payloads: Vec<_> = self.records(topic).into_iter().map(|(_, payload, _)| payload).collect();
        payloads.sort();
        payloads
    }

    /// Counts everything in the log into the warehouse.
    pub fn process(&self) {
        self.process_into(self.warehouse.as_ref());
    }

    /// The same with another warehouse.
    pub fn process_into(&self, warehouse: &dyn Warehouse) {
        let metrics = Metrics::new("test").unwrap();
        let shutdown = Shutdown::new();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                processor::run(&StreamConfig::default(), self.log.as_ref(), warehouse, &metrics, &shutdown)
                    .unwrap();
            });
            let deadline = Instant::now() + Duration::from_secs(30);
            while backlog::records(self.log.as_ref(), warehouse).unwrap() > 0 {
                assert!(Instant::now() < deadline, "the processor did not catch up");
                std::thread::sleep(Duration::from_millis(10));
            }
            shutdown.trigger();
        });
    }
}

/// Turns the switch at the end of a scope, also when the test fails: its threads would work for ever.
pub struct Ending(pub Shutdown);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.trigger();
    }
}

impl Drop for Harness {
    fn drop(&mut self) {
        self.shutdown.trigger();
        if let Some(serving) = self.serving.take() {
            let _ = serving.join();
        }
    }
}

/// The token in a page, for its buttons.
pub fn token(harness: &Harness, page: &str) -> String {
    let page = harness.get(page).text();
    let (_, rest) = page.split_once("name=\"csrf-token\" content=\"").unwrap();
    rest.split_once('"').unwrap().0.to_owned()
}

/// Runs statements on the tables of a schema.
pub fn script(warehouse: &dyn Warehouse, schema: Schema, sql: &str) {
    let mut session = warehouse.session(schema).unwrap();
    let mut transaction = session.begin().unwrap();
    transaction.script(sql).unwrap();
    transaction.commit().unwrap();
}

/// Alerts as the monitor keeps them: `critical` fires, `taken` fires and is acknowledged, `warning`
/// fires, `pending` does not yet, `over` is over.
pub fn add_alerts(warehouse: &dyn Warehouse, now: Millis) {
    let ago = |minutes: i64| format!("'{}'", Millis(now.0 - minutes * 60_000));
    let none = || "null".to_owned();
    let rows = [
        (
            "critical",
            "ErrorRateHigh",
            "{}",
            "critical",
            "firing",
            [0.0342, 0.05, 0.01],
            r#"{"causes":[{"fingerprint":"f00d","message":"click is #","open":12}]}"#,
            [ago(12), ago(10), none(), none()],
        ),
        (
            "taken",
            "DagFailed",
            r#"{"dag":"daily"}"#,
            "critical",
            "firing",
            [2.0, 2.0, 0.0],
            r#"{"run":"r1","message":"exit code 1"}"#,
            [ago(9), ago(9), none(), ago(5)],
        ),
        (
            "warning",
            "SourceStale",
            r#"{"source":"s"}"#,
            "warning",
            "firing",
            [60.0, 60.0, 0.0],
            "null",
            [ago(8), ago(7), none(), none()],
        ),
        (
            "pending",
            "LagGrowing",
            "{}",
            "warning",
            "pending",
            [200_000.0, 200_000.0, 100_000.0],
            "null",
            [ago(1), none(), none(), none()],
        ),
        (
            "over",
            "LatencyHigh",
            "{}",
            "critical",
            "resolved",
            [1.0, 7.5, 5.0],
            "null",
            [ago(90), ago(88), ago(80), none()],
        ),
    ];
    for (
        id,
        rule,
        labels,
        severity,
        state,
        [value, worst, threshold],
        context,
        [pending, firing, resolved, taken],
    ) in rows
    {
        let by = if taken == "null" { "null" } else { "'console:lee'" };
        script(
            warehouse,
            Schema::Ops,
            &format!(
                "insert into ops.alerts values ('{id}', '{rule}', '{labels}', '{severity}', '{state}', {value}, {worst}, \
                 {threshold}, '{context}', {pending}, {firing}, {resolved}, '{now}', {taken}, {by}, '', 'firing')"
            ),
        );
    }
}

/// An event, with some fields as given; null removes one.
pub fn event(id: u64, more: &Value) -> Vec<u8> {
    let mut event = json!({
        "id": id.to_string(), "click": 0, "hour": "2026-01-02T03:04:05Z", "banner_pos": 0, "device_type": 1,
        "device_conn_type": 0, "site_id": "s1", "site_domain": "example.com", "site_category": "news",
        "app_id": "a1", "app_domain": "example.com", "app_category": "none", "device_id": "d1",
        "device_ip": "192.0.2.1", "device_model": "m1",
    });
    for (name, value) in more.as_object().unwrap() {
        if value.is_null() {
            drop(event.as_object_mut().unwrap().remove(name))
        } else {
            event[name] = value.clone()
        }
    }
    event.to_string().into_bytes()
}

/// Appends records without a key.
pub fn append_to(harness: &Harness, topic: Topic, headers: Headers, payloads: &[impl AsRef<[u8]>]) {
    let mut records = Records::new();
    let headers = records.add_headers(headers);
    for payload in payloads {
        assert!(records.push(b"", payload.as_ref(), headers));
    }
    let mut records = Some(records);
    append_and_wait(harness.log.as_ref(), topic, || records.take().unwrap_or_default(), None).unwrap();
}

/// Events as lines, with the CSV header first where there is one.
pub fn events(rows: u64, format: Format) -> Vec<u8> {
    let config = Config { rows: Some(rows), format, bad: 0.05, duplicates: 0.02, ..Config::default() };
    let mut bytes = Vec::new();
    Generator::new(config).unwrap().write_all(&mut bytes).unwrap();
    bytes
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A browser, or none where there is no Chromium.
pub fn browser(test: &str) -> Option<Browser> {
    match Browser::start() {
        Ok(browser) => Some(browser),
        Err(reason) => {
            adpipe_testkit::skip(test, &reason);
            None
        }
    }
}

/// Keeps a picture of the page in the folder that `ADPIPE_PICTURES` names, if it names one.
pub fn picture(browser: &mut Browser, name: &str) {
    if let Some(folder) = std::env::var_os("ADPIPE_PICTURES") {
        browser.picture(&std::path::PathBuf::from(folder).join(format!("{name}.png")));
    }
}
