//! `GET /api/operations/charts`: what the monitor measured over the last hours, with the lines that
//! must not be crossed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use adpipe_event::Millis;
use adpipe_ingest::http::{Client, Refusal};
use adpipe_monitor::MonitorError;
use adpipe_monitor::history;
use adpipe_monitor::rules::{Bound, Rules, Severity};
use adpipe_monitor::signal::{Labels, Signal};
use adpipe_warehouse::Warehouse;
use axum::Extension;
use axum::extract::{Query, State};
use axum::response::Response;
use serde::Serialize;

use super::answering;
use super::latency::HeatMap;
use crate::app::App;
use crate::dlq::input::unprocessable;

/// The signals that are drawn, each with its threshold where the table has one.
const CHARTED: [Signal; 8] = [
    Signal::Throughput,
    Signal::Latency,
    Signal::ErrorShare,
    Signal::Lag,
    Signal::DlqOpen,
    Signal::DlqExhausted,
    Signal::DiskFree,
    Signal::NotificationsWaiting,
];

/// Points of a curve: more cannot be distinguished.
const POINTS: u32 = 360;

/// Columns of the heat map.
const COLUMNS: i64 = 60;

/// How far back is looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Range {
    Hour,
    SixHours,
    Day,
}

impl Range {
    pub const ALL: [Range; 3] = [Range::Hour, Range::SixHours, Range::Day];

    /// Its name in addresses.
    pub fn name(self) -> &'static str {
        match self {
            Range::Hour => "1h",
            Range::SixHours => "6h",
            Range::Day => "24h",
        }
    }

    fn span(self) -> Duration {
        let hours = match self {
            Range::Hour => 1,
            Range::SixHours => 6,
            Range::Day => 24,
        };
        Duration::from_secs(hours * 3_600)
    }

    /// Readings come every 15 s: shorter steps would leave gaps.
    fn step(self) -> Duration {
        (self.span() / POINTS).max(Duration::from_secs(15))
    }
}

/// Times are ms since the Unix epoch.
#[derive(Serialize)]
struct Charts {
    at: i64,
    from: i64,
    range: &'static str,
    /// Between two points, ms.
    step: i64,
    /// Whether messages to Slack are set up, as far as the console knows.
    slack: bool,
    charts: Vec<Chart>,
    heat_map: HeatMap,
}

#[derive(Serialize)]
struct Chart {
    signal: &'static str,
    series: Vec<Series>,
    thresholds: Vec<Threshold>,
}

#[derive(Serialize)]
struct Series {
    labels: Labels,
    /// Time and value, oldest first.
    points: Vec<(i64, f64)>,
}

/// The line of an alert that watches what is drawn.
#[derive(Serialize)]
struct Threshold {
    rule: String,
    severity: Severity,
    /// `above` or `below`: on which side it is bad.
    side: &'static str,
    value: f64,
}

/// The handler.
pub(super) async fn get_charts(
    State(app): State<Arc<App>>,
    Extension(client): Extension<Client>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Result<Response, Refusal> {
    let name = query.get("range").map_or("24h", String::as_str);
    let range = Range::ALL.into_iter().find(|range| range.name() == name);
    let range = range.ok_or_else(|| unprocessable("range must be 1h, 6h or 24h".to_owned()))?;
    let slack = app.config.slack;
    let latencies = Arc::clone(&app.operations.latencies);
    answering(&app, client, move |warehouse, rules| {
        let now = Millis::now();
        let span = range.span().as_millis() as i64;
        let from = Millis(now.0 - span);
        Ok(Charts {
            at: now.0,
            from: from.0,
            range: range.name(),
            step: range.step().as_millis() as i64,
            slack,
            charts: charts(warehouse, rules, from, now, range.step())?,
            heat_map: latencies.heat_map(warehouse, from, now, span / COLUMNS)?,
        })
    })
    .await
}

fn charts(
    warehouse: &dyn Warehouse,
    rules: &Rules,
    from: Millis,
    now: Millis,
    step: Duration,
) -> Result<Vec<Chart>, MonitorError> {
    let chart = |signal: Signal| {
        let series = history::readings(warehouse, signal, from, now, step)?;
        Ok(Chart {
            signal: signal.word(),
            series: series
                .into_iter()
                .map(|series| Series {
                    labels: series.labels,
                    points: series.points.into_iter().map(|(at, value)| (at.0, value)).collect(),
                })
                .collect(),
            thresholds: thresholds(rules, signal),
        })
    };
    CHARTED.into_iter().map(chart).collect()
}

fn thresholds(rules: &Rules, signal: Signal) -> Vec<Threshold> {
    let line = |rule: &adpipe_monitor::rules::Rule| Threshold {
        rule: rule.name.clone(),
        severity: rule.severity,
        side: match rule.bound {
            Bound::Above(_) => "above",
            Bound::Below(_) => "below",
        },
        value: rule.bound.threshold(),
    };
    rules.iter().filter(|rule| rule.signal == signal).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_the_table() {
        let rules = Rules::built_in().unwrap();
        for signal in [Signal::Throughput, Signal::Latency, Signal::ErrorShare] {
            assert_eq!(thresholds(&rules, signal).len(), 1, "{signal:?}");
        }
        let throughput = &thresholds(&rules, Signal::Throughput)[0];
        assert_eq!((throughput.rule.as_str(), throughput.side), ("ThroughputLow", "below"));
        assert_eq!(throughput.value, rules.find("ThroughputLow").unwrap().bound.threshold());
        assert!(thresholds(&rules, Signal::Lag).is_empty());
    }

    #[test]
    fn steps_suit_the_range() {
        assert_eq!(Range::Hour.step(), Duration::from_secs(15));
        assert_eq!(Range::Day.step(), Duration::from_secs(240));
    }
}
