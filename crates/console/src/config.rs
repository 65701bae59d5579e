//! The console's settings at start.

use std::collections::BTreeSet;
use std::sync::Arc;

use adpipe_dlq::Dlq;
use adpipe_ingest::EventsConfig;
use adpipe_ingest::http::ServerConfig;
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
    /// How much of this process its connections may take.
    pub server: ServerConfig,
    /// Memory for all bodies that are arriving or being split; beyond it requests get 429.
    pub body_budget_bytes: usize,
    /// Limits for senders of events.
    pub events: EventsConfig,
    /// What the page "DAGs" shows; none, and it says so.
    pub dags: Dags,
    /// Whether messages to Slack are set up.
    pub slack: bool,
}

impl Default for ConsoleConfig {
    fn default() -> ConsoleConfig {
        ConsoleConfig {
            host: "127.0.0.1".to_owned(),
            port: 8088,
            token: None,
            server: ServerConfig::default(),
            body_budget_bytes: 32 << 20,
            events: EventsConfig::default(),
            dags: Dags::default(),
            slack: false,
        }
    }
}

/// Gives a whole page of HTML, or what is wrong, for people. It may wait for files and the database.
pub type DocsPage = Arc<dyn Fn() -> Result<String, String> + Send + Sync>;

/// Ids of the tests that the dbt project has now; none while they are not known. It may wait for files.
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
