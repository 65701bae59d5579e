//! A notifier with a spool of its own, and a stand-in for Slack.

#![allow(dead_code, reason = "each test file uses its part")]

pub mod announcements;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use adpipe_event::Millis;
use adpipe_metrics::Metrics;
use adpipe_monitor::announce::{Announce, Change};
use adpipe_notify::config::SlackConfig;
use adpipe_notify::webhook::Webhook;
use adpipe_notify::{Notifier, NotifierOptions};
use adpipe_runtime::Shutdown;
use adpipe_warehouse::Warehouse;
use announcements::announcement;

/// A running notifier; ends with the test.
pub struct Running {
    pub notifier: Notifier,
    pub metrics: Metrics,
    shutdown: Shutdown,
}

/// Settings that make no test wait.
pub fn quick(more: &str) -> SlackConfig {
    let text = format!("{{\"group_wait\": \"50ms\", \"daily_summary\": {{\"enabled\": false}}{more}}}");
    serde_json::from_str(&text).unwrap()
}

impl Running {
    pub fn start(spool: &Path, url: Option<&str>, config: SlackConfig) -> Running {
        Running::with_warehouse(spool, url, config, None)
    }

    pub fn with_warehouse(
        spool: &Path,
        url: Option<&str>,
        config: SlackConfig,
        warehouse: Option<Arc<dyn Warehouse>>,
    ) -> Running {
        let (metrics, shutdown) = (Metrics::new("test").unwrap(), Shutdown::new());
        let options = NotifierOptions {
            config,
            rules: adpipe_monitor::rules::Rules::built_in().unwrap(),
            webhook: url.map(|url| Webhook::parse(url, "test").unwrap()),
            spool: spool.to_path_buf(),
            console_url: String::new(),
            warehouse,
            metrics: metrics.clone(),
            poll: Duration::from_millis(10),
        };
        let notifier = Notifier::start(options, &shutdown).unwrap();
        Running { notifier, metrics, shutdown }
    }

    pub fn fire(&mut self, rule: &str, id: &str) {
        self.notifier.announce(&announcement(rule, id, Change::Fired, Millis::now())).unwrap();
    }

    pub fn resolve(&mut self, rule: &str, id: &str) {
        self.notifier.announce(&announcement(rule, id, Change::Resolved, Millis::now())).unwrap();
    }

    /// How many messages had this outcome.
    pub fn counted(&self, kind: &str, outcome: &str) -> u64 {
        self.metrics.notifications.with_label_values(&[kind, outcome]).get()
    }

    pub fn end(self) {
        self.shutdown.trigger();
        self.notifier.end();
    }
}

/// Names of the files in a folder of the spool.
pub fn files(spool: &Path, place: &str) -> Vec<String> {
    let entries = std::fs::read_dir(spool.join(place)).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The header of a message.
pub fn header(body: &str) -> String {
    let message: serde_json::Value = serde_json::from_str(body).unwrap();
    message["blocks"][0]["text"]["text"].as_str().unwrap().to_owned()
}
