//! A real Alertmanager, and its tool.

use std::path::Path;
use std::process::Output;

use crate::prometheus::tool;
use crate::server::Server;

/// A running Alertmanager with a configuration of the test's own.
pub struct Alertmanager(Server);

impl Alertmanager {
    /// Starts it with this configuration file; None when it is not installed.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start(test: &str, config: &Path) -> Option<Alertmanager> {
        Server::start(test, "prometheus-alertmanager", "/-/ready", |command, folder, address| {
            command
                .arg(format!("--config.file={}", config.display()))
                .arg(format!("--storage.path={}", folder.join("data").display()))
                .arg(format!("--web.listen-address={address}"))
                // No cluster: it would look for an address of the machine's own.
                .arg("--cluster.listen-address=");
        })
        .map(Alertmanager)
    }

    /// `host:port`.
    pub fn address(&self) -> &str {
        self.0.address()
    }

    /// What it wrote.
    pub fn log(&self) -> String {
        self.0.log()
    }

    /// Names of the alerts that it has and neither silences nor inhibits, sorted.
    ///
    /// # Panics
    /// When it does not answer.
    pub fn active(&self) -> Vec<String> {
        self.names("/api/v2/alerts?active=true&silenced=false&inhibited=false")
    }

    /// Names of the alerts that it holds back as others say why, sorted.
    ///
    /// # Panics
    /// When it does not answer.
    pub fn inhibited(&self) -> Vec<String> {
        self.names("/api/v2/alerts?active=false&silenced=false&inhibited=true")
    }

    fn names(&self, path: &str) -> Vec<String> {
        let answer: serde_json::Value = serde_json::from_str(&self.0.page(path)).unwrap();
        let alerts = answer.as_array().unwrap().iter();
        let mut names: Vec<String> =
            alerts.map(|alert| alert["labels"]["alertname"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    }
}

/// Runs `amtool`; None when it is not installed.
///
/// # Panics
/// When it cannot be run.
pub fn amtool(test: &str, arguments: &[&str]) -> Option<Output> {
    tool(test, "amtool", arguments)
}
