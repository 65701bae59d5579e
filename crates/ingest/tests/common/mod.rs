//! The endpoint for events on a real socket over a real log, with a processor that a test plays.
#![allow(dead_code, reason = "each test file uses a part of this")]
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use adpipe_generate::{Config, Format, Generator};
use adpipe_ingest::http::{self, Budget, ServerConfig};
use adpipe_ingest::{EventsConfig, EventsEndpoint, Lag, LagGauge};
use adpipe_log::sqlite::SqliteLog;
use adpipe_log::{EventLog, LogError, Topic};
use adpipe_metrics::Metrics;
use adpipe_testkit::raw_http::{self, Answer};
use adpipe_testkit::rig::{self, Draft};
use axum::Router;
use axum::middleware::from_fn;
use axum::routing::get;
use tokio::sync::watch;

/// How the endpoint and the server below it are set up.
pub struct Setup {
    pub events: EventsConfig,
    pub server: ServerConfig,
    pub body_budget_bytes: usize,
}

pub fn setup() -> Setup {
    Setup { events: EventsConfig::default(), server: ServerConfig::default(), body_budget_bytes: 32 << 20 }
}

/// An endpoint that is told so, on a server as usual.
pub fn taking(events: EventsConfig) -> Setup {
    Setup { events, ..setup() }
}

pub struct Harness {
    _folder: tempfile::TempDir,
    log: Arc<SqliteLog>,
    address: SocketAddr,
    /// Records of the log that count as processed.
    processed: Arc<AtomicU64>,
    closing: watch::Sender<bool>,
    serving: Option<JoinHandle<()>>,
}

impl Harness {
    pub fn start(setup: Setup) -> Harness {
        Harness::start_with(setup, |log| log)
    }

    /// An endpoint that appends to what `wrap` makes of the log.
    pub fn start_with(setup: Setup, wrap: impl FnOnce(Arc<dyn EventLog>) -> Arc<dyn EventLog>) -> Harness {
        let folder = tempfile::tempdir().unwrap();
        let log = Arc::new(SqliteLog::open(folder.path()).unwrap());
        let (processed, closing) = (Arc::new(AtomicU64::new(0)), watch::Sender::new(false));
        let endpoint = Arc::new(EventsEndpoint::new(
            setup.events,
            wrap(Arc::clone(&log) as _),
            Metrics::new("test").unwrap(),
            gauge(Arc::clone(&log), Arc::clone(&processed)),
            Budget::new(setup.body_budget_bytes),
            closing.subscribe(),
        ));
        let router = Router::new().route("/healthz", get(|| async { "ok\n" })).merge(endpoint.router());
        let router = router.layer(from_fn(http::close_after_unread));
        let (sender, receiver) = std::sync::mpsc::channel();
        let closed = closing.subscribe();
        let serving = std::thread::spawn(move || {
            tokio::runtime::Runtime::new().unwrap().block_on(async {
                let listener = http::listen(&["127.0.0.1:0".parse().unwrap()]).unwrap();
                sender.send(listener.local_addr().unwrap()).unwrap();
                http::serve(listener, router, setup.server, closed).await;
            });
        });
        let address = receiver.recv().unwrap();
        Harness { _folder: folder, log, address, processed, closing, serving: Some(serving) }
    }

    pub fn connect(&self) -> TcpStream {
        raw_http::connect(self.address)
    }

    pub fn get(&self, target: &str) -> Answer {
        raw_http::send(self.address, "GET", target, &[], b"")
    }

    pub fn post(&self, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        raw_http::send(self.address, "POST", "/v1/events", headers, body)
    }

    /// Counts everything in the log as processed.
    pub fn process(&self) {
        self.processed.store(appended(&self.log).unwrap(), Ordering::Release);
    }

    /// Every record of a topic, in order of partition and offset.
    pub fn records(&self, topic: Topic) -> Vec<Draft> {
        rig::records(self.log.as_ref(), topic)
    }

    /// Payloads of a topic, sorted.
    pub fn payloads(&self, topic: Topic) -> Vec<Vec<u8>> {
        let mut payloads: Vec<_> = self.records(topic).into_iter().map(|record| record.payload).collect();
        payloads.sort();
        payloads
    }
}

impl Drop for Harness {
    fn drop(&mut self) {
        self.closing.send_replace(true);
        if let Some(serving) = self.serving.take() {
            let _ = serving.join();
        }
    }
}

fn gauge(log: Arc<SqliteLog>, processed: Arc<AtomicU64>) -> LagGauge {
    LagGauge::new(move || {
        let records = appended(&log)?.saturating_sub(processed.load(Ordering::Acquire));
        Ok(Lag { records, errors: 0 })
    })
}

fn appended(log: &SqliteLog) -> Result<u64, LogError> {
    Ok(log.ranges(Topic::Raw)?.iter().map(|range| range.next.0).sum())
}

/// Events as lines, with the CSV header first where there is one.
pub fn events(rows: u64, format: Format) -> Vec<u8> {
    let config = Config { rows: Some(rows), format, bad: 0.05, duplicates: 0.02, ..Config::default() };
    let mut bytes = Vec::new();
    Generator::new(config).unwrap().write_all(&mut bytes).unwrap();
    bytes
}

/// The lines of a text, sorted.
pub fn sorted_lines(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> =
        bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect();
    lines.sort();
    lines
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(bytes, 1).unwrap()
}
