//! From the text of `alerts.toml` to [`Rule`]s: each rule of the file, and the line of what breaks
//! it.

use std::path::Path;
use std::time::Duration;

use adpipe_runtime::Span;
use serde::Deserialize;
use toml::Spanned;

use crate::error::RulesError;
use crate::rules::{Bound, Rule, Severity};
use crate::signal::Signal;
use crate::unit::Unit;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileText {
    #[serde(default)]
    alert: Vec<AlertText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AlertText {
    name: Spanned<String>,
    signal: Spanned<String>,
    above: Option<Spanned<f64>>,
    below: Option<Spanned<f64>>,
    window: Option<Spanned<Span>>,
    short_window: Option<Spanned<Span>>,
    #[serde(rename = "for")]
    hold: Span,
    severity: Severity,
    records: Option<Spanned<u64>>,
    summary: Spanned<String>,
    summary_ko: Spanned<String>,
}

/// A message and the byte it is about.
type Wrong = (usize, String);

/// Reads and checks a whole file.
pub(crate) fn read(text: &str, path: &Path) -> Result<Vec<Rule>, RulesError> {
    let at = |(byte, message): Wrong| RulesError::Wrong {
        path: path.to_path_buf(),
        line: text[..byte.min(text.len())].matches('\n').count() + 1,
        message,
    };
    let file: FileText = toml::from_str(text)
        .map_err(|error| at((error.span().map_or(0, |span| span.start), error.message().to_owned())))?;
    let mut rules: Vec<Rule> = Vec::new();
    for alert in &file.alert {
        let rule = read_rule(alert).map_err(at)?;
        if rules.iter().any(|known| known.name == rule.name) {
            return Err(at((alert.name.span().start, format!("there are two alerts {}", rule.name))));
        }
        rules.push(rule);
    }
    if rules.is_empty() {
        return Err(at((0, "there is no alert in it: write [[alert]] and its keys".to_owned())));
    }
    Ok(rules)
}

fn read_rule(text: &AlertText) -> Result<Rule, Wrong> {
    let name = read_name(&text.name)?;
    let signal = read_signal(&text.signal)?;
    let bound = read_bound(text, &name, signal)?;
    let window = read_window(text, &name, signal)?;
    let short_window = read_short_window(text, &name, signal, window)?;
    let records = match &text.records {
        None => 0,
        Some(records) if signal.is_of_records() => *records.get_ref(),
        Some(records) => {
            let message =
                format!("alert {name}: {} is not a share of records; leave records out", signal.word());
            return Err((records.span().start, message));
        }
    };
    Ok(Rule {
        signal,
        bound,
        window,
        short_window,
        hold: text.hold.0,
        severity: text.severity,
        records,
        summary: read_summary(&text.summary, &name, signal)?,
        summary_ko: read_summary(&text.summary_ko, &name, signal)?,
        name,
    })
}

/// Words with capitals: the name is part of Prometheus' and a heading of the runbook.
fn read_name(text: &Spanned<String>) -> Result<String, Wrong> {
    let name = text.get_ref();
    let is_fine = name.starts_with(|first: char| first.is_ascii_uppercase())
        && name.len() <= 60
        && name.chars().all(|character| character.is_ascii_alphanumeric());
    if !is_fine {
        let message = format!("{name:?} is not a name: write letters and digits, as in \"ErrorRateHigh\"");
        return Err((text.span().start, message));
    }
    Ok(name.clone())
}

fn read_signal(text: &Spanned<String>) -> Result<Signal, Wrong> {
    Signal::from_word(text.get_ref()).ok_or_else(|| {
        let known: Vec<&str> = Signal::ALL.into_iter().map(Signal::word).collect();
        let message = format!("there is no signal {:?}; there are: {}", text.get_ref(), known.join(", "));
        (text.span().start, message)
    })
}

fn read_bound(text: &AlertText, name: &str, signal: Signal) -> Result<Bound, Wrong> {
    let (bound, place) = match (&text.above, &text.below) {
        (Some(above), None) => (Bound::Above(*above.get_ref()), above.span().start),
        (None, Some(below)) => (Bound::Below(*below.get_ref()), below.span().start),
        (Some(_), Some(below)) => {
            return Err((
                below.span().start,
                format!("alert {name} has both above and below; leave one out"),
            ));
        }
        (None, None) => {
            let message = format!("alert {name} has no threshold: write above = … or below = …");
            return Err((text.name.span().start, message));
        }
    };
    let threshold = bound.threshold();
    if !threshold.is_finite() || threshold < 0.0 {
        return Err((place, format!("alert {name}: a threshold is a number of at least 0")));
    }
    if signal.unit() == Unit::Share && threshold > 1.0 {
        let message =
            format!("alert {name}: {threshold} is not a share; write a number from 0 to 1, 0.01 is 1 %");
        return Err((place, message));
    }
    Ok(bound)
}

fn read_window(text: &AlertText, name: &str, signal: Signal) -> Result<Duration, Wrong> {
    match &text.window {
        Some(window) if !signal.has_window() => {
            let message =
                format!("alert {name}: {} is measured at one moment; leave window out", signal.word());
            Err((window.span().start, message))
        }
        Some(window) => more_than_none(window, name, "window"),
        None if signal.has_window() => {
            let message =
                format!("alert {name}: {} is measured over a window; write window = \"5m\"", signal.word());
            Err((text.signal.span().start, message))
        }
        None => Ok(Duration::ZERO),
    }
}

fn read_short_window(
    text: &AlertText,
    name: &str,
    signal: Signal,
    window: Duration,
) -> Result<Option<Duration>, Wrong> {
    match (&text.short_window, signal) {
        (Some(short), Signal::BurnRate) => {
            let length = more_than_none(short, name, "short_window")?;
            if length >= window {
                let message = format!("alert {name}: short_window must be shorter than window");
                return Err((short.span().start, message));
            }
            Ok(Some(length))
        }
        (Some(short), _) => {
            let message = format!("alert {name}: only burn_rate has a short_window; leave it out");
            Err((short.span().start, message))
        }
        (None, Signal::BurnRate) => {
            let message = format!("alert {name}: burn_rate has two windows; write short_window = \"5m\"");
            Err((text.signal.span().start, message))
        }
        (None, _) => Ok(None),
    }
}

fn more_than_none(period: &Spanned<Span>, name: &str, key: &str) -> Result<Duration, Wrong> {
    let length = period.get_ref().0;
    if length.is_zero() {
        return Err((period.span().start, format!("alert {name}: {key} must be more than zero")));
    }
    Ok(length)
}

/// Placeholders without a value would be visible to people.
fn read_summary(text: &Spanned<String>, name: &str, signal: Signal) -> Result<String, Wrong> {
    let summary = text.get_ref();
    if summary.trim().is_empty() {
        return Err((text.span().start, format!("alert {name}: write a summary for people")));
    }
    let mut known = vec!["value", "threshold"];
    if signal.has_window() {
        known.push("window");
    }
    known.extend(signal.labels());
    for part in summary.split('{').skip(1) {
        let placeholder = part.split('}').next().unwrap_or(part);
        if !known.contains(&placeholder) {
            let message = format!(
                "alert {name}: there is no placeholder {{{placeholder}}}; there are: {{{}}}",
                known.join("}, {")
            );
            return Err((text.span().start, message));
        }
    }
    Ok(summary.clone())
}
