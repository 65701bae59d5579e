//! What the table of alerts says about the tiles of the first page, and whether an alert is open. The
//! page has no thresholds of its own: it shows those of `alerts.toml`, and the monitor's result.

use adpipe_event::Millis;
use adpipe_monitor::MonitorError;
use adpipe_monitor::rules::{Bound, Rule, Rules};
use adpipe_monitor::signal::Signal;
use adpipe_monitor::store::{self, Alert, State};
use adpipe_warehouse::Warehouse;
use serde::Serialize;

/// The signals that the tiles are about.
const SHOWN: [Signal; 2] = [Signal::Latency, Signal::ErrorShare];

/// An alert's rule, and its alert while one is open.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Limit {
    signal: &'static str,
    rule: String,
    /// In the signal's unit: seconds, or a share.
    threshold: f64,
    /// Seconds over which the signal is measured.
    window: u64,
    alert: Option<OpenAlert>,
}

#[derive(Debug, Clone, Serialize)]
struct OpenAlert {
    state: State,
    /// When it was last measured, in the signal's unit.
    value: f64,
    /// When that was, ms since the Unix epoch.
    at: i64,
}

/// An open alert that was not measured for this long says nothing about the present: no monitor runs.
const STALE_MS: i64 = 300_000;

/// The rules about what the tiles show, with their open alerts.
pub(crate) fn limits(
    warehouse: &dyn Warehouse,
    rules: &Rules,
    now: Millis,
) -> Result<Vec<Limit>, MonitorError> {
    let watched = |rule: &&Rule| SHOWN.contains(&rule.signal) && matches!(rule.bound, Bound::Above(_));
    let watched: Vec<&Rule> = rules.iter().filter(watched).collect();
    if watched.is_empty() {
        return Ok(Vec::new());
    }
    let open = store::open_alerts(warehouse)?;
    Ok(watched.into_iter().map(|rule| limit(rule, &open, now)).collect())
}

fn limit(rule: &Rule, open: &[Alert], now: Millis) -> Limit {
    let is_its_own = |alert: &&Alert| alert.rule == rule.name && now.0 - alert.updated_at.0 < STALE_MS;
    Limit {
        signal: rule.signal.word(),
        rule: rule.name.clone(),
        threshold: rule.bound.threshold(),
        window: rule.window.as_secs(),
        alert: open.iter().find(is_its_own).map(|alert| OpenAlert {
            state: alert.state,
            value: alert.value,
            at: alert.updated_at.0,
        }),
    }
}
