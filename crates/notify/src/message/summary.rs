//! The daily summary, for Slack and for a terminal.

use std::collections::BTreeMap;

use adpipe_monitor::rules::Language;
use adpipe_monitor::unit::{Unit, format_duration};
use jiff::civil::Date;
use serde_json::Value;

use super::Style;
use super::blocks::{Blocks, escape, link};
use crate::kind;
use crate::summary::{DayFigures, Summary};

/// Names of DAGs and tests that are given.
const NAMED: usize = 5;

/// The summary as Slack takes it.
pub fn message(summary: &Summary, style: &Style) -> Value {
    let mut blocks = Blocks::default();
    let title = title(summary, style);
    blocks.header(&title);
    if summary.day_figures.events == 0 {
        blocks.section(&escape(&style.text("summary_no_events", &[])));
    }
    blocks.fields(&fields(summary, style));
    let trend = trend(summary, style);
    if !trend.is_empty() {
        let lines: Vec<String> =
            trend.iter().map(|(name, line)| format!("{} `{line}`", escape(name))).collect();
        blocks.section(&lines.join("\n"));
    }
    let mut small = Vec::new();
    if !style.console_url.is_empty() {
        for (page, words) in [
            ("/", "link_console"),
            ("/operations", "link_operations"),
            ("/dlq", "link_dlq"),
            ("/dags", "link_dags"),
        ] {
            small.push(link(&format!("{}{page}", style.console_url), &style.text(words, &[])));
        }
    }
    small.push(escape(&style.text("summary_times", &[("zone", &summary.time_zone)])));
    blocks.context(&small.join(" · "));
    let events = count(style, summary.day_figures.events);
    let fallback = style.text(
        "summary_fallback",
        &[("day", &day(&summary.day, style)), ("events", &events), ("ctr", &ctr(summary.day_figures, style))],
    );
    blocks.message(&fallback)
}

/// The same for a terminal.
pub fn plain(summary: &Summary, style: &Style) -> String {
    let mut lines = vec![title(summary, style)];
    if summary.day_figures.events == 0 {
        lines.push(style.text("summary_no_events", &[]));
    }
    for (name, value) in fields(summary, style).into_iter().chain(trend(summary, style)) {
        lines.push(format!("{name}: {}", value.replace('\n', "; ")));
    }
    lines.push(style.text("summary_times", &[("zone", &summary.time_zone)]));
    lines.join("\n")
}

fn title(summary: &Summary, style: &Style) -> String {
    style.text("summary_title", &[("day", &day(&summary.day, style))])
}

/// `Tue 24 Nov 2026`, `2026년 11월 24일 (화)`.
fn day(day: &str, style: &Style) -> String {
    let Ok(date) = day.parse::<Date>() else { return day.to_owned() };
    match style.language {
        Language::English => date.strftime("%a %-d %b %Y").to_string(),
        Language::Korean => {
            let weekday = ["월", "화", "수", "목", "금", "토", "일"]
                .get(usize::from(date.weekday().to_monday_zero_offset().unsigned_abs()))
                .copied()
                .unwrap_or_default();
            format!("{}년 {}월 {}일 ({weekday})", date.year(), date.month(), date.day())
        }
    }
}

fn count(style: &Style, number: u64) -> String {
    Unit::Count.format(style.language, number as f64)
}

fn ctr(figures: DayFigures, style: &Style) -> String {
    match figures.ctr() {
        Some(rate) => format!("{:.2} %", rate * 100.0),
        None => style.text("summary_unknown", &[]),
    }
}

/// `+12 %` from one number to another; unknown from nothing.
fn change(before: u64, now: u64, style: &Style) -> String {
    match before {
        0 => style.text("summary_unknown", &[]),
        before => format!("{:+.1} %", (now as f64 - before as f64) / before as f64 * 100.0),
    }
}

/// `+0.12 pp` from one rate to another.
fn change_of_rate(before: DayFigures, now: DayFigures, style: &Style) -> String {
    match (before.ctr(), now.ctr()) {
        (Some(before), Some(now)) => {
            style.text("summary_points", &[("points", &format!("{:+.2}", (now - before) * 100.0))])
        }
        _ => style.text("summary_unknown", &[]),
    }
}

fn fields(summary: &Summary, style: &Style) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    let mut field = |key: &str, value: String| fields.push((style.text(key, &[]), value));
    let (now, day, week) = (summary.day_figures, summary.day_before, summary.week_before);
    let changes = |value: String, day_before: String, week_before: String| {
        style.text(
            "summary_changes",
            &[("value", &value), ("day_before", &day_before), ("week_before", &week_before)],
        )
    };
    field(
        "summary_ctr",
        changes(ctr(now, style), change_of_rate(day, now, style), change_of_rate(week, now, style)),
    );
    field(
        "summary_events",
        changes(
            count(style, now.events),
            change(day.events, now.events, style),
            change(week.events, now.events, style),
        ),
    );
    field(
        "summary_clicks",
        changes(
            count(style, now.clicks),
            change(day.clicks, now.clicks, style),
            change(week.clicks, now.clicks, style),
        ),
    );
    field("summary_errors", errors(summary, style));
    field("summary_dlq", dlq(summary, style));
    field("summary_dag_runs", counted(&summary.dag_runs, "state_", &summary.failed_dags, style));
    field("summary_data_tests", counted(&summary.data_tests, "status_", &summary.failing_tests, style));
    if let Some(slowest) = &summary.slowest_hour {
        let latency = format_duration(style.language, slowest.p95_seconds);
        field(
            "summary_slowest",
            style.text("summary_slowest_value", &[("hour", &slowest.hour), ("latency", &latency)]),
        );
    }
    if let Some(peak) = &summary.peak_hour {
        let events = count(style, peak.events);
        field("summary_peak", style.text("summary_peak_value", &[("hour", &peak.hour), ("events", &events)]));
    }
    field("summary_alerts", alerts(summary, style));
    fields
}

fn dlq(summary: &Summary, style: &Style) -> String {
    let dlq = &summary.dlq;
    style.text(
        "summary_dlq_value",
        &[
            ("open", &count(style, dlq.open)),
            ("exhausted", &count(style, dlq.exhausted)),
            ("resolved", &count(style, dlq.resolved)),
            ("discarded", &count(style, dlq.discarded)),
        ],
    )
}

fn errors(summary: &Summary, style: &Style) -> String {
    let total: u64 = summary.errors_by_type.values().sum();
    if total == 0 {
        return style.text("summary_none", &[]);
    }
    let mut by_type: Vec<(&String, &u64)> = summary.errors_by_type.iter().collect();
    by_type.sort_by_key(|(name, errors)| (std::cmp::Reverse(**errors), *name));
    let by_type: Vec<String> =
        by_type.into_iter().map(|(name, errors)| format!("{name} {}", count(style, *errors))).collect();
    format!("{}\n{}", count(style, total), by_type.join(", "))
}

/// `12 succeeded, 1 failed` and the names of what failed.
fn counted(counts: &BTreeMap<String, u64>, prefix: &str, names: &[String], style: &Style) -> String {
    let mut parts = Vec::new();
    for key in ["success", "pass", "failed", "fail", "error", "warn", "cancelled", "skipped"] {
        if let Some(number) = counts.get(key).filter(|number| **number > 0) {
            parts.push(format!("{} {}", count(style, *number), style.text(&format!("{prefix}{key}"), &[])));
        }
    }
    if parts.is_empty() {
        return style.text("summary_none", &[]);
    }
    let mut text = parts.join(", ");
    if !names.is_empty() {
        text.push('\n');
        text.push_str(&names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", "));
        if names.len() > NAMED {
            text.push(' ');
            text.push_str(&style.text("more", &[("count", &(names.len() - NAMED).to_string())]));
        }
    }
    text
}

fn alerts(summary: &Summary, style: &Style) -> String {
    if summary.alerts.is_empty() {
        return style.text("summary_none", &[]);
    }
    let line = |alert: &crate::summary::AlertCount| {
        let title_key = format!("title_{}", kind::of_rule(&alert.rule));
        let title = style.texts.get(&title_key).unwrap_or(&alert.rule);
        let key = if alert.firing > 0 { "summary_alert_firing" } else { "summary_alert" };
        style.text(key, &[("title", title), ("count", &alert.times.to_string())])
    };
    summary.alerts.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Lines of blocks, by name.
fn trend(summary: &Summary, style: &Style) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    if summary.day_figures.events > 0 {
        let hours: Vec<Option<f64>> =
            summary.hours.iter().map(|hour| Some(hour.figures.events as f64)).collect();
        lines.push((style.text("summary_trend_hours", &[]), sparkline(&hours, true)));
    }
    let days: Vec<Option<f64>> = summary.days.iter().map(|day| day.figures.ctr()).collect();
    if days.iter().flatten().count() > 1 {
        lines.push((style.text("summary_trend_days", &[]), sparkline(&days, false)));
    }
    lines
}

/// One block for each value, a dot for none; from zero, or from the smallest value.
pub fn sparkline(values: &[Option<f64>], from_zero: bool) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let known = || values.iter().flatten().copied();
    let most = known().fold(f64::MIN, f64::max);
    let least = if from_zero { 0.0 } else { known().fold(f64::MAX, f64::min) };
    let block = |value: &Option<f64>| match value {
        None => '·',
        Some(_) if most <= least => BLOCKS[3],
        Some(value) => {
            let height = ((value - least) / (most - least) * 7.0).round() as usize;
            BLOCKS[height.min(7)]
        }
    };
    values.iter().map(block).collect()
}

#[cfg(test)]
mod tests {
    use super::sparkline;

    #[test]
    fn sparklines() {
        assert_eq!(sparkline(&[Some(1.0), None, Some(8.0), Some(4.5)], false), "▁·█▅");
        assert_eq!(sparkline(&[Some(4.0), Some(8.0)], true), "▅█");
        assert_eq!(sparkline(&[Some(0.2), Some(0.2)], false), "▄▄");
        assert_eq!(sparkline(&[], true), "");
    }
}
