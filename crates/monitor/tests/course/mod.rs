//! What the tests of alerts share.

#![allow(dead_code, reason = "each test program uses its part")]

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use adpipe_event::Millis;
use adpipe_monitor::announce::{Announce, Announcement, Change};
use adpipe_monitor::evaluate::Moment;
use adpipe_monitor::rules::Rules;
use adpipe_monitor::signal::{Labels, Reading};

/// Noon of some day.
pub const NOON: Millis = Millis(1_764_072_000_000);

/// A table with one alert of each kind that the tests need.
pub fn rules() -> Rules {
    let table = r#"
        [[alert]]
        name = "LatencyHigh"
        signal = "latency"
        above = 5.0
        window = "5m"
        for = "30s"
        severity = "critical"
        summary = "{value}"
        summary_ko = "{value}"
        [[alert]]
        name = "DagFailed"
        signal = "dag_failures"
        above = 0.0
        for = "0s"
        severity = "warning"
        summary = "{dag} {value}"
        summary_ko = "{dag} {value}"
        [[alert]]
        name = "WarehouseDown"
        signal = "warehouse_silent"
        above = 1.0
        for = "0s"
        severity = "critical"
        summary = "{value}"
        summary_ko = "{value}"
    "#;
    Rules::parse(table, Path::new("alerts.toml")).unwrap()
}

/// A reading without labels.
pub fn reading(value: f64) -> Reading {
    Reading { labels: Labels::new(), value, context: serde_json::Value::Null }
}

/// A reading of a DAG.
pub fn of_dag(dag: &str, value: f64) -> Reading {
    Reading { labels: Labels::from([("dag".to_owned(), dag.to_owned())]), ..reading(value) }
}

/// So many seconds after noon, on both clocks.
pub fn at(seconds: u64) -> Moment {
    Moment { wall: Millis(NOON.0 + seconds as i64 * 1_000), steady: Duration::from_secs(seconds) }
}

/// Keeps what it was told: rule, labels' values, change, silenced.
#[derive(Clone, Default)]
pub struct Ear(Arc<Mutex<Heard>>);

#[derive(Default)]
struct Heard {
    told: Vec<Announcement>,
    is_deaf: bool,
}

impl Ear {
    pub fn told(&self) -> Vec<Announcement> {
        self.0.lock().unwrap().told.clone()
    }

    /// In short: `fired LatencyHigh`, `resolved DagFailed dag_x`.
    pub fn heard(&self) -> Vec<String> {
        let short = |one: &Announcement| {
            let change = if one.change == Change::Fired { "fired" } else { "resolved" };
            let silenced = if one.is_silenced { " (silenced)" } else { "" };
            let labels: String = one.alert.labels.values().map(|value| format!(" {value}")).collect();
            format!("{change} {}{labels}{silenced}", one.alert.rule)
        };
        self.told().iter().map(short).collect()
    }

    /// From now on it cannot take anything over, or can again.
    pub fn set_deaf(&self, is_deaf: bool) {
        self.0.lock().unwrap().is_deaf = is_deaf;
    }
}

impl Announce for Ear {
    fn announce(&mut self, announcement: &Announcement) -> Result<(), String> {
        let mut heard = self.0.lock().unwrap();
        if heard.is_deaf {
            return Err("the spool is full".to_owned());
        }
        heard.told.push(announcement.clone());
        Ok(())
    }
}
