//! Alerts in words and as JSON.

use adpipe_event::Millis;
use adpipe_monitor::rules::{Language, Rules};
use adpipe_monitor::store::{Alert, Silence};
use adpipe_monitor::unit::format_duration;

/// What is wrong, in a sentence; if the rule is no longer in the table, its name.
pub fn sentence(rules: &Rules, alert: &Alert) -> String {
    match rules.find(&alert.rule) {
        Some(rule) => rule.summary(Language::English, &alert.labels, alert.value),
        None => alert.rule.clone(),
    }
}

pub fn is_silenced(silences: &[Silence], alert: &Alert, now: Millis) -> bool {
    silences.iter().any(|silence| silence.lasts_at(now) && silence.is_about(&alert.rule, &alert.labels))
}

/// An alert with what is not in its row.
pub fn as_json(rules: &Rules, silences: &[Silence], alert: &Alert) -> anyhow::Result<serde_json::Value> {
    let mut value = serde_json::to_value(alert)?;
    value["summary"] = sentence(rules, alert).into();
    value["is_silenced"] = is_silenced(silences, alert, Millis::now()).into();
    Ok(value)
}

/// `2026-01-31 12:00:00`.
pub fn shown(time: Millis) -> String {
    time.to_string().chars().take(19).collect()
}

/// How long a while is, from one time to another.
pub fn lasted(from: Millis, to: Millis) -> String {
    format_duration(Language::English, ((to.0 - from.0).max(0) / 1_000) as f64)
}
