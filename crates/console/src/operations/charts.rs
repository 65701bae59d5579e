//! `GET /api/operations/charts`: what the monitor measured over the last hours, with the lines that
//! must not be crossed.

use std::sync::Arc;
use std::time::Duration;

use adpipe_event::Millis;
use adpipe_ingest::http::Refusal;
use adpipe_monitor::MonitorError;
use adpipe_monitor::history;
use adpipe_monitor::rules::{Bound, Rules, Severity};
use adpipe_monitor::signal::{Labels, Signal};
use adpipe_warehouse::Warehouse;
use axum::extract::{Query, State};
use axum::response::Response;
use serde::Serialize;

use super::latency::{HeatMap, Latencies};
use crate::alerting::Alerting;
use crate::answer::{Asking, unprocessable};
use crate::query::Parameters;

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
pub(crate) enum ChartSpan {
    Hour,
    SixHours,
    Day,
}

impl ChartSpan {
    pub const ALL: [ChartSpan; 3] = [ChartSpan::Hour, ChartSpan::SixHours, ChartSpan::Day];

    /// As written in addresses.
    pub fn name(self) -> &'static str {
        match self {
            ChartSpan::Hour => "1h",
            ChartSpan::SixHours => "6h",
            ChartSpan::Day => "24h",
        }
    }

    fn span(self) -> Duration {
        let hours = match self {
            ChartSpan::Hour => 1,
            ChartSpan::SixHours => 6,
            ChartSpan::Day => 24,
        };
        Duration::from_secs(hours * 3_600)
    }

    /// Readings come every 15 s: shorter steps would leave gaps.
    fn step(self) -> Duration {
        (self.span() / POINTS).max(Duration::from_secs(15))
    }
}

/// What the charts show beside what the monitor measured.
#[derive(Clone)]
pub(crate) struct ChartSource {
    latencies: Arc<Latencies>,
    /// Whether messages to Slack are set up.
    has_slack: bool,
}

impl ChartSource {
    pub fn new(has_slack: bool) -> ChartSource {
        ChartSource { latencies: Arc::default(), has_slack }
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

/// `GET /api/operations/charts?range=24h`.
pub(crate) async fn get_charts(
    State(alerting): State<Alerting>,
    State(source): State<ChartSource>,
    asking: Asking,
    Query(query): Query<Parameters>,
) -> Result<Response, Refusal> {
    let name = query.get("range").map_or("24h", String::as_str);
    let range = ChartSpan::ALL.into_iter().find(|range| range.name() == name);
    let range = range.ok_or_else(|| unprocessable("range must be 1h, 6h or 24h".to_owned()))?;
    let read = move |warehouse: &dyn Warehouse, rules: &Rules| {
        let now = Millis::now();
        let span = range.span().as_millis() as i64;
        let from = Millis(now.0 - span);
        Ok(Charts {
            at: now.0,
            from: from.0,
            range: range.name(),
            step: range.step().as_millis() as i64,
            slack: source.has_slack,
            charts: charts(warehouse, rules, from, now, range.step())?,
            heat_map: source.latencies.heat_map(warehouse, from, now, span / COLUMNS)?,
        })
    };
    alerting.json(asking, read).await
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
        assert_eq!(ChartSpan::Hour.step(), Duration::from_secs(15));
        assert_eq!(ChartSpan::Day.step(), Duration::from_secs(240));
    }
}
