//! Alerts and silences: what the page shows of them, and what a person does with them.

use std::collections::HashMap;
use std::time::Duration;

use adpipe_event::Millis;
use adpipe_ingest::http::Refusal;
use adpipe_monitor::MonitorError;
use adpipe_monitor::rules::{Bound, Language, Rule, Rules, Severity};
use adpipe_monitor::signal::Labels;
use adpipe_monitor::store::{self, NewSilence, State as AlertState};
use adpipe_warehouse::Warehouse;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use crate::alerting::{Alerting, is_silenced, summary};
use crate::answer::{json, unprocessable};
use crate::posted::{self, Posted};

/// How far back the history goes, and how much of it is sent.
const HISTORY_MS: i64 = 7 * 86_400_000;
const MOST_HISTORY: usize = 100;

/// Open alerts that are sent; each series of a rule has at most one.
const MOST_OPEN: usize = 200;

/// Longest silence: one that should last longer is a threshold to be changed.
const LONGEST_SILENCE_MINUTES: u64 = 30 * 24 * 60;

/// Longest note or comment, in characters.
const LONGEST_TEXT: usize = 500;

/// What the page shows. Times are ms since the Unix epoch.
#[derive(Debug, Serialize)]
pub(super) struct Alerts {
    /// Firing and pending ones; the gravest first, then the newest.
    alerts: Vec<Alert>,
    silences: Vec<Silence>,
    /// Those that are over, the newest first.
    history: Vec<Alert>,
    /// False when the history has more than is sent.
    history_is_complete: bool,
    rules: Vec<RuleLine>,
}

#[derive(Debug, Serialize)]
struct Alert {
    id: String,
    rule: String,
    labels: Labels,
    severity: Severity,
    state: AlertState,
    summary: String,
    /// In the signal's unit, for people.
    value: String,
    worst: String,
    threshold: String,
    /// Whatever the monitor found to be of use; null for nothing.
    context: serde_json::Value,
    pending_since: i64,
    firing_since: Option<i64>,
    resolved_at: Option<i64>,
    acknowledged_at: Option<i64>,
    acknowledged_by: Option<String>,
    note: String,
    /// When the silence that is about it ends.
    silenced_until: Option<i64>,
}

#[derive(Debug, Serialize)]
struct Silence {
    id: String,
    /// Empty: every rule.
    rule: String,
    labels: Labels,
    starts_at: i64,
    ends_at: i64,
    comment: String,
    created_by: String,
}

/// A rule of the table, and the worst that it has come to.
#[derive(Debug, Serialize)]
struct RuleLine {
    name: String,
    severity: Severity,
    /// `above` or `below`.
    side: &'static str,
    threshold: String,
    /// Seconds for which it must hold.
    hold: u64,
    /// Seconds over which it is measured; 0: of this moment.
    window: u64,
    /// Null while all is well.
    state: Option<AlertState>,
}

pub(super) fn alerts(
    warehouse: &dyn Warehouse,
    rules: &Rules,
    language: Language,
    now: Millis,
) -> Result<Alerts, MonitorError> {
    let silences = store::silences(warehouse)?;
    let shown = |alert: &store::Alert| {
        let about = silences
            .iter()
            .filter(|silence| silence.lasts_at(now) && silence.is_about(&alert.rule, &alert.labels));
        show(rules, language, alert, about.map(|silence| silence.ends_at.0).max())
    };
    let mut open = store::open_alerts(warehouse)?;
    // Stable: among equals the newest stays first. Those that are not acknowledged come first.
    open.sort_by_key(|alert| {
        (
            alert.state != AlertState::Firing,
            alert.acknowledged_at.is_some() || is_silenced(alert, &silences, now),
            std::cmp::Reverse(alert.severity),
        )
    });
    let mut worst: HashMap<&str, AlertState> = HashMap::new();
    for alert in &open {
        worst.entry(alert.rule.as_str()).or_insert(alert.state);
    }
    let mut over: Vec<store::Alert> = store::history(warehouse, Millis(now.0 - HISTORY_MS))?;
    over.retain(|alert| alert.state == AlertState::Resolved);
    over.sort_by_key(|alert| std::cmp::Reverse(alert.resolved_at));
    Ok(Alerts {
        alerts: open.iter().take(MOST_OPEN).map(shown).collect(),
        history: over.iter().take(MOST_HISTORY).map(shown).collect(),
        history_is_complete: over.len() <= MOST_HISTORY,
        rules: rules
            .iter()
            .map(|rule| rule_line(rule, language, worst.get(rule.name.as_str()).copied()))
            .collect(),
        silences: silences.iter().map(show_silence).collect(),
    })
}

fn show(rules: &Rules, language: Language, alert: &store::Alert, silenced_until: Option<i64>) -> Alert {
    let rule = rules.find(&alert.rule);
    let formatted = |value: f64| match rule {
        Some(rule) => rule.signal.unit().format_beside(language, value, alert.threshold),
        None => value.to_string(),
    };
    Alert {
        id: alert.alert_id.clone(),
        rule: alert.rule.clone(),
        labels: alert.labels.clone(),
        severity: alert.severity,
        state: alert.state,
        summary: summary(rules, language, alert),
        value: formatted(alert.value),
        worst: formatted(alert.worst),
        threshold: formatted(alert.threshold),
        context: alert.context.clone(),
        pending_since: alert.pending_since.0,
        firing_since: alert.firing_since.map(|time| time.0),
        resolved_at: alert.resolved_at.map(|time| time.0),
        acknowledged_at: alert.acknowledged_at.map(|time| time.0),
        acknowledged_by: alert.acknowledged_by.clone(),
        note: alert.note.clone(),
        silenced_until,
    }
}

fn show_silence(silence: &store::Silence) -> Silence {
    Silence {
        id: silence.silence_id.clone(),
        rule: silence.rule.clone(),
        labels: silence.labels.clone(),
        starts_at: silence.starts_at.0,
        ends_at: silence.ends_at.0,
        comment: silence.comment.clone(),
        created_by: silence.created_by.clone(),
    }
}

fn rule_line(rule: &Rule, language: Language, state: Option<AlertState>) -> RuleLine {
    RuleLine {
        name: rule.name.clone(),
        severity: rule.severity,
        side: match rule.bound {
            Bound::Above(_) => "above",
            Bound::Below(_) => "below",
        },
        threshold: rule.signal.unit().format(language, rule.bound.threshold()),
        hold: rule.hold.as_secs(),
        window: rule.window.as_secs(),
        state,
    }
}

// --- what a person does -----------------------------------------------------------------------

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Acknowledgement {
    #[serde(default)]
    note: String,
}

/// `POST /api/operations/alerts/{id}/acknowledge`.
pub(crate) async fn post_acknowledge(
    State(alerting): State<Alerting>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Posted { value: Acknowledgement { note }, held: _held }: Posted<Acknowledgement>,
) -> Result<Response, Refusal> {
    let by = posted::actor(&headers)?;
    let note = checked_text("note", &note)?;
    let rule =
        alerting.run(move |warehouse, _| Ok(store::acknowledge(warehouse, &id, &by, &note)?.rule)).await?;
    json(&serde_json::json!({ "rule": rule }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SilenceOrder {
    /// Empty: every rule.
    rule: String,
    #[serde(default)]
    labels: Labels,
    minutes: u64,
    comment: String,
}

/// `POST /api/operations/silences`.
pub(crate) async fn post_silence(
    State(alerting): State<Alerting>,
    headers: HeaderMap,
    Posted { value: order, held: _held }: Posted<SilenceOrder>,
) -> Result<Response, Refusal> {
    let created_by = posted::actor(&headers)?;
    if order.minutes == 0 || order.minutes > LONGEST_SILENCE_MINUTES {
        return Err(unprocessable(format!("minutes must be from 1 to {LONGEST_SILENCE_MINUTES}")));
    }
    let comment = checked_text("comment", &order.comment)?;
    if comment.is_empty() {
        return Err(unprocessable("a silence needs a comment: why?".to_owned()));
    }
    if !order.rule.is_empty() && alerting.rules.find(&order.rule).is_none() {
        return Err(unprocessable(format!("there is no alert called {:?}", order.rule)));
    }
    let new = NewSilence {
        rule: order.rule,
        labels: order.labels,
        starts_at: Millis::now(),
        lasts: Duration::from_secs(order.minutes * 60),
        comment,
        created_by,
    };
    let silence = alerting.run(move |warehouse, _| store::silence(warehouse, &new)).await?;
    json(&show_silence(&silence))
}

/// `POST /api/operations/silences/{id}/end`.
pub(crate) async fn post_end_silence(
    State(alerting): State<Alerting>,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    alerting.run(move |warehouse, _| store::end_silence(warehouse, &id)).await?;
    json(&serde_json::json!({}))
}

fn checked_text(name: &str, text: &str) -> Result<String, Refusal> {
    let text = text.trim();
    match text.chars().count() {
        0..=LONGEST_TEXT => Ok(text.to_owned()),
        _ => Err(unprocessable(format!("{name} may have at most {LONGEST_TEXT} characters"))),
    }
}
