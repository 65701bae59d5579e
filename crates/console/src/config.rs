//! What the console is told at start.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use adpipe_dlq::Dlq;
use adpipe_event::FieldMap;
use adpipe_log::EventLog;
use adpipe_metrics::Metrics;
use adpipe_monitor::rules::Rules;
use adpipe_schedule::dag::Dags;
use adpipe_warehouse::Warehouse;

/// Where the console listens and what it takes from others.
#[derive(Debug, Clone)]
pub struct ConsoleConfig {
    /// Name or address to listen on. Anything beyond loopback needs a token.
    pub host: String,
    /// Port; 0 takes any that is free.
    pub port: u16,
    /// Demanded from everybody when set.
    pub token: Option<String>,
    /// Longest body of one request, as received. Decompressed it may be
    /// [`DECOMPRESSED_FACTOR`] times as long.
    pub max_body_bytes: usize,
    /// Events are refused (429) while more records than this wait for the processor.
    pub max_lag_records: u64,
    /// Records that one body may hold; of more it is refused (413).
    pub max_body_records: u64,
    /// A body of which hardly any record can be read is refused (422) when it holds more unreadable
    /// ones than this.
    pub max_body_errors: u64,
    /// Longest record; of a longer one the beginning is kept, as an error to be.
    pub max_record_bytes: usize,
    /// Which fields of the input give those of an event.
    pub fields: FieldMap,
    /// Open connections; a few more wait shortly for one to end, others are answered 503.
    pub max_connections: usize,
    /// Memory for all bodies that are arriving or being split; beyond it requests get 429.
    pub body_budget_bytes: usize,
    /// A request's header must be complete within this time.
    pub header_timeout: Duration,
    /// A body may pause for this long …
    pub body_pause: Duration,
    /// … and must be complete within this.
    pub body_deadline: Duration,
    /// What the page "DAGs" shows; none, and it says so.
    pub dags: Dags,
    /// Whether messages to Slack are set up.
    pub slack: bool,
}

/// How many times as long as `max_body_bytes` a body may become by decompression.
pub const DECOMPRESSED_FACTOR: u64 = 8;

impl Default for ConsoleConfig {
    fn default() -> ConsoleConfig {
        ConsoleConfig {
            host: "127.0.0.1".to_owned(),
            port: 8088,
            token: None,
            max_body_bytes: 8 << 20,
            max_lag_records: 5_000_000,
            max_body_records: 500_000,
            max_body_errors: 10_000,
            max_record_bytes: 1 << 20,
            fields: FieldMap::default(),
            max_connections: 1_024,
            body_budget_bytes: 32 << 20,
            header_timeout: Duration::from_secs(10),
            body_pause: Duration::from_secs(30),
            body_deadline: Duration::from_secs(60),
            dags: Dags::default(),
            slack: false,
        }
    }
}

/// Gives a whole page of HTML, or what is wrong, for people. It may wait for files and the database.
pub type DocsPage = Arc<dyn Fn() -> Result<String, String> + Send + Sync>;

/// Ids of the tests that the dbt project has now; none while nobody knows. It may wait for files.
pub type ProjectTests = Arc<dyn Fn() -> Option<BTreeSet<String>> + Send + Sync>;

/// What the console shows and writes to.
#[derive(Clone)]
pub struct Services {
    /// Where events are appended and errors are read.
    pub log: Arc<dyn EventLog>,
    /// Where figures come from.
    pub warehouse: Arc<dyn Warehouse>,
    /// The dead-letter queue of this log and this warehouse.
    pub dlq: Dlq,
    /// Shown on `/metrics`, and counted into.
    pub metrics: Metrics,
    /// Makes the page about models, tests and lineage (`/quality/docs`).
    pub docs_page: DocsPage,
    /// Which tests there are, so that those that were removed are not shown as failing.
    pub project_tests: ProjectTests,
    /// The table of alerts that the monitor judges by.
    pub rules: Arc<Rules>,
    /// Version of the program.
    pub version: &'static str,
}
