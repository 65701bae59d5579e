//! Whether something about the queue needs attention.

use std::process::ExitCode;

use adpipe_event::Millis;
use adpipe_monitor::pulse::Pulse;
use adpipe_monitor::role::{Figures, measure_rules};
use adpipe_monitor::rules::{Language, Rules};
use adpipe_monitor::signal::Signal;
use adpipe_schedule::dag::Dags;
use anyhow::bail;

use super::queries::shortened;
use super::waiting::Waiting;
use crate::output;
use crate::services::Services;

/// The alerts of the table that are about the queue, measured now; and errors that are not stored yet,
/// which no alert can see.
pub fn run(services: &Services, json: bool, waiting: Waiting) -> anyhow::Result<ExitCode> {
    let rules = crate::alerts::rules(&services.config)?;
    let rules = Rules(rules.0.into_iter().filter(|rule| kind(rule.signal).is_some()).collect());
    let sources = crate::alerts::sources(services, Dags::default(), Pulse::new())?;
    let figures = Figures::of(sources, services.metrics.clone());
    let measured = measure_rules(&figures, &rules, Millis::now());
    let mut alerts = Vec::new();
    for rule in rules.iter() {
        let readings = match measured.get(&rule.name) {
            Some(Ok(readings)) => readings.as_slice(),
            Some(Err(reason)) => bail!("{} cannot be measured: {reason}", rule.signal.word()),
            None => &[],
        };
        for reading in readings.iter().filter(|reading| rule.bound.is_broken_by(reading.value)) {
            alerts.push(serde_json::json!({
                "alert": rule.name,
                "kind": kind(rule.signal),
                "value": reading.value,
                "threshold": rule.bound.threshold(),
                "summary": rule.summary(Language::English, &reading.labels, reading.value),
                "causes": reading.context["causes"],
            }));
        }
    }
    if let Some(words) = waiting.words() {
        alerts.push(serde_json::json!({
            "alert": "ErrorsNotStored", "kind": "waiting", "value": waiting.errors, "threshold": 0,
            "summary": words, "causes": [],
        }));
    }
    let needs_somebody = !alerts.is_empty();
    if json {
        output::json(&alerts.into())?;
    } else if !needs_somebody {
        output::line("no errors need attention")?;
    } else {
        print(&alerts)?;
    }
    Ok(if needs_somebody { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn print(alerts: &[serde_json::Value]) -> anyhow::Result<()> {
    for alert in alerts {
        output::line(alert["summary"].as_str().unwrap_or_default())?;
        for cause in alert["causes"].as_array().into_iter().flatten() {
            let text = |key: &str| cause[key].as_str().unwrap_or_default();
            let (fingerprint, stage, message) =
                (text("fingerprint"), text("stage"), shortened(text("message")));
            output::line(&format!(
                "  {fingerprint}  {}  {stage}  {message}",
                output::errors_of_cause(cause)
            ))?;
        }
    }
    Ok(())
}

/// What a signal of the queue is called here.
fn kind(signal: Signal) -> Option<&'static str> {
    match signal {
        Signal::DlqExhausted => Some("exhausted"),
        Signal::DlqGrowth => Some("backlog_growth"),
        Signal::ErrorShare => Some("error_rate"),
        _ => None,
    }
}
