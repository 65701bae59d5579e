//! A real Prometheus, and its tool.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use crate::server::{Server, is_installed, percent_encoded};

/// A running Prometheus with a configuration of the test's own.
pub struct Prometheus(Server);

/// One series of an answer, with its newest value.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// With `__name__` where the series has one.
    pub labels: BTreeMap<String, String>,
    /// NaN where the query divides 0 by 0.
    pub value: f64,
}

impl Prometheus {
    /// Starts it at `host:port` with this configuration file, which may name the address; None when
    /// it is not installed.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start(test: &str, address: &str, config: &Path) -> Option<Prometheus> {
        Server::start_at(test, "prometheus", address.to_owned(), "/-/ready", |command, folder, address| {
            command
                .arg(format!("--config.file={}", config.display()))
                .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
                .arg(format!("--web.listen-address={address}"))
                .arg("--log.level=warn");
        })
        .map(Prometheus)
    }

    /// `host:port`.
    pub fn address(&self) -> &str {
        self.0.address()
    }

    /// What it wrote.
    pub fn log(&self) -> String {
        self.0.log()
    }

    /// The answer to an instant query.
    ///
    /// # Panics
    /// When Prometheus refuses it.
    pub fn query(&self, expression: &str) -> Vec<Sample> {
        let answer = self.api(&format!("/api/v1/query?query={}", percent_encoded(expression)));
        let rows = answer["result"].as_array().unwrap_or_else(|| panic!("{expression}: {answer}"));
        if answer["resultType"] == "scalar" {
            return vec![Sample { labels: BTreeMap::new(), value: number(&answer["result"][1]) }];
        }
        rows.iter()
            .map(|row| Sample { labels: labels(&row["metric"]), value: number(&row["value"][1]) })
            .collect()
    }

    /// The names of all series that it has.
    pub fn names(&self) -> Vec<String> {
        let names = self.api("/api/v1/label/__name__/values");
        names.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
    }

    /// Alerts as (name, state), sorted; `pending` and `firing`.
    pub fn alerts(&self) -> Vec<(String, String)> {
        let answer = self.api("/api/v1/alerts");
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let mut alerts: Vec<(String, String)> = answer["alerts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|alert| (text(&alert["labels"]["alertname"]), text(&alert["state"])))
            .collect();
        alerts.sort();
        alerts
    }

    /// The `data` of an answer of the API.
    ///
    /// # Panics
    /// When it is not a success.
    pub fn api(&self, path: &str) -> serde_json::Value {
        let mut answer: serde_json::Value = serde_json::from_str(&self.0.page(path)).unwrap();
        assert_eq!(answer["status"], "success", "{path}: {answer}");
        answer["data"].take()
    }
}

/// Runs `promtool`; None when it is not installed.
///
/// # Panics
/// When it cannot be run.
pub fn promtool(test: &str, arguments: &[&str]) -> Option<Output> {
    tool(test, "promtool", arguments)
}

/// Runs one of the tools that come with the servers; None when it is not installed.
pub(crate) fn tool(test: &str, program: &str, arguments: &[&str]) -> Option<Output> {
    if !is_installed(program) {
        crate::skip(test, &format!("{program} is not installed"));
        return None;
    }
    Some(Command::new(program).args(arguments).output().unwrap())
}

fn labels(metric: &serde_json::Value) -> BTreeMap<String, String> {
    let labels = metric.as_object().into_iter().flatten();
    labels.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
}

/// Numbers come as text, as JSON has no NaN.
fn number(value: &serde_json::Value) -> f64 {
    let text = value.as_str().unwrap();
    match text {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        _ => text.parse().unwrap(),
    }
}
