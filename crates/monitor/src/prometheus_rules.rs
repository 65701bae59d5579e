//! The table of alerts as a rule file of Prometheus.
//!
//! `config/alert_rules.yml` is what [`rule_file`] gives for the built-in table. [`Expression::of`] says
//! what a signal is in Prometheus; `figures` measures the same from the warehouse. Shares of records
//! are recorded first, as several alerts use them, by the same window.

use std::collections::BTreeSet;
use std::time::Duration;

use adpipe_event::Topic;

use crate::rules::{Bound, Language, Rule, Rules, fill};
use crate::signal::{ERROR_BUDGET, Signal};
use crate::unit::{Unit, format_duration};

/// How often Prometheus is to look: as often as adpipe does itself.
const INTERVAL: Duration = Duration::from_secs(15);

/// Links in annotations.
#[derive(Debug, Clone, Default)]
pub struct Links {
    /// Where the runbook is; a heading's name follows.
    pub runbook: String,
    /// Where Grafana is; "" for links that count from its root.
    pub grafana: String,
    /// Where adpipe's console is; "" for no link.
    pub console: String,
}

/// The rule file, as YAML.
pub fn rule_file(rules: &Rules, links: &Links) -> String {
    let mut yaml = String::from(
        "# Prometheus' rules, made of the table of alerts, config/alerts.toml:\n\
         # adpipe alerts rules > config/alert_rules.yml\n\
         # Do not edit: change the table. config/alert_rules_test.yml tests them.\n\
         groups:\n",
    );
    yaml += &format!("  - name: adpipe\n    interval: {}\n    rules:\n", prometheus_duration(INTERVAL));
    for (name, expression) in recorded(rules) {
        yaml += &format!("      - record: {name}\n        expr: {}\n", quoted(&expression));
    }
    for rule in rules.iter() {
        yaml += &alert(rule, links);
    }
    yaml
}

fn alert(rule: &Rule, links: &Links) -> String {
    let expression = Expression::of(rule);
    let mut lines = vec![
        format!("      - alert: {}", rule.prometheus_name()),
        format!("        expr: {}", quoted(&expression.text)),
        format!("        for: {}", prometheus_duration(expression.hold)),
        "        labels:".to_owned(),
        format!("          severity: {}", rule.severity),
        format!("          signal: {}", rule.signal.word()),
        "        annotations:".to_owned(),
    ];
    let mut annotation = |name: &str, text: &str| lines.push(format!("          {name}: {}", quoted(text)));
    annotation("summary", &summary(rule, Language::English, &expression));
    annotation("summary_ko", &summary(rule, Language::Korean, &expression));
    annotation("description", &description(rule));
    annotation("runbook_url", &format!("{}#{}", links.runbook, rule.name.to_lowercase()));
    annotation("dashboard", &format!("{}/d/{}", links.grafana, dashboard(rule.signal)));
    if !links.console.is_empty() {
        annotation("console", &format!("{}/operations", links.console.trim_end_matches('/')));
    }
    lines.join("\n") + "\n"
}

/// The Grafana dashboard that shows a signal, by its uid.
pub fn dashboard(signal: Signal) -> &'static str {
    match signal {
        Signal::Throughput
        | Signal::Latency
        | Signal::ErrorShare
        | Signal::BurnRate
        | Signal::Stalled
        | Signal::Lag
        | Signal::LagGrowth => "adpipe-pipeline",
        Signal::DlqOpen | Signal::DlqExhausted | Signal::DlqGrowth => "adpipe-dlq",
        Signal::DagFailures
        | Signal::DagOverdue
        | Signal::ArchiveBehind
        | Signal::ArchiveUnreadable
        | Signal::FailingDataTests
        | Signal::SourceOverdue => "adpipe-batch",
        Signal::Silent | Signal::WarehouseSilent | Signal::DiskFree | Signal::NotificationsWaiting => {
            "adpipe-resources"
        }
    }
}

/// A signal's bad side in PromQL.
struct Expression {
    text: String,
    /// `for`.
    hold: Duration,
    /// The value does not say how bad it is; this does.
    says: Option<Duration>,
}

impl Expression {
    fn of(rule: &Rule) -> Expression {
        let window = prometheus_duration(rule.window);
        let bound = match rule.bound {
            Bound::Above(threshold) => format!("> {threshold}"),
            Bound::Below(threshold) => format!("< {threshold}"),
        };
        let plain = |text: String| Expression { text, hold: rule.hold, says: None };
        match rule.signal {
            // Nothing to compare with fires, too; a pipeline that never had an event does not.
            Signal::Throughput => plain(format!(
                "(60 * sum(rate(adpipe_events_processed_total[{window}])) {bound} \
                 and max(adpipe_last_commit_timestamp_seconds) > 0) \
                 or 0 * absent(adpipe_events_processed_total)"
            )),
            Signal::Latency => plain(format!(
                "histogram_quantile(0.95, sum by (le) (rate(adpipe_event_latency_seconds_bucket[{window}]))) \
                 {bound}"
            )),
            Signal::ErrorShare => plain(format!("{} {bound}{}", share_name(rule.window), enough(rule))),
            // The lesser of the two.
            Signal::BurnRate => {
                let (long, short) =
                    (share_name(rule.window), share_name(rule.short_window.unwrap_or(rule.window)));
                plain(format!("({long} < {short} or {short}) / {ERROR_BUDGET} {bound}{}", enough(rule)))
            }
            Signal::Stalled => plain(format!(
                "time() - {LAST_COMMIT} {bound} \
                 and sum(adpipe_log_lag_records{{topic!=\"{}\"}}) > 0",
                Topic::Error.name()
            )),
            Signal::Lag => plain(format!("{LAG} {bound}")),
            Signal::LagGrowth => plain(format!("{LAG} - {} {bound}", before(LAG, &window))),
            Signal::DlqOpen => plain(format!("{DLQ_OPEN} {bound}")),
            Signal::DlqExhausted => plain(format!("max(adpipe_dlq_errors{{status=\"exhausted\"}}) {bound}")),
            Signal::DlqGrowth => plain(format!("{DLQ_OPEN} - {} {bound}", before(DLQ_OPEN, &window))),
            Signal::DagFailures => plain(format!("max by (dag) (adpipe_dag_failures) {bound}")),
            Signal::DagOverdue => plain(format!("max by (dag) (adpipe_dag_overdue_seconds) {bound}")),
            Signal::ArchiveBehind => plain(format!("max(adpipe_archive_oldest_open_hour_seconds) {bound}")),
            Signal::ArchiveUnreadable => plain(format!("max(adpipe_archive_unreadable) {bound}")),
            Signal::FailingDataTests => {
                plain(format!("sum(max by (status) (adpipe_data_tests{{status=~\"fail|error\"}})) {bound}"))
            }
            Signal::SourceOverdue => plain(format!(
                "max by (source) (adpipe_source_age_seconds - adpipe_source_max_age_seconds) {bound}"
            )),
            Signal::Silent => Expression::silent("up{job=\"adpipe\"} == 0", rule),
            // Processes that cannot reach it.
            Signal::WarehouseSilent => Expression::silent("min(adpipe_warehouse_up) == 0", rule),
            Signal::DiskFree => plain(format!("adpipe_disk_free_bytes / adpipe_disk_size_bytes {bound}")),
            Signal::NotificationsWaiting => {
                plain(format!("max(adpipe_notifications_waiting_seconds) {bound}"))
            }
        }
    }

    /// Prometheus sees that it is silent, not since when: it has to be for the threshold, too.
    fn silent(text: &str, rule: &Rule) -> Expression {
        let threshold = Duration::try_from_secs_f64(rule.bound.threshold()).unwrap_or_default();
        let hold = threshold + rule.hold;
        Expression { text: text.to_owned(), hold, says: Some(hold) }
    }
}

/// Records that wait; each process that knows the lag of a partition shows the same.
const LAG: &str = "sum(max by (topic, partition) (adpipe_log_lag_records))";

/// When something was last committed; of a processor that never did, when it was started that sees
/// what waits.
const LAST_COMMIT: &str = "(max(adpipe_last_commit_timestamp_seconds) \
    or max(process_start_time_seconds and on (job, instance) adpipe_log_lag_records))";

/// Open errors; each process that keeps the queue shows the same.
const DLQ_OPEN: &str = "sum(max by (status) (adpipe_dlq_errors{status=~\"pending|retrying|exhausted\"}))";

/// The same expression a window ago.
fn before(expression: &str, window: &str) -> String {
    let end = expression.trim_end_matches(')').len();
    let (vector, closing) = expression.split_at(end);
    format!("{vector} offset {window}{closing}")
}

/// The expressions that are recorded, by name.
fn recorded(rules: &Rules) -> Vec<(String, String)> {
    let mut windows = BTreeSet::new();
    let mut guarded = BTreeSet::new();
    for rule in rules.iter().filter(|rule| rule.signal.is_of_records()) {
        windows.extend([Some(rule.window), rule.short_window].into_iter().flatten());
        if rule.records > 0 {
            guarded.insert(rule.window);
        }
    }
    let judged = "adpipe_events_processed_total{outcome=~\"valid|invalid\"}";
    let share = |window: &Duration| {
        let length = prometheus_duration(*window);
        let wrong = format!("adpipe_events_processed_total{{outcome=\"invalid\"}}[{length}]");
        let text = format!("sum(rate({wrong})) / sum(rate({judged}[{length}]))");
        (share_name(*window), text)
    };
    let records = |window: &Duration| {
        (records_name(*window), format!("sum(increase({judged}[{}]))", prometheus_duration(*window)))
    };
    windows.iter().map(share).chain(guarded.iter().map(records)).collect()
}

fn share_name(window: Duration) -> String {
    format!("adpipe:error_share:rate{}", prometheus_duration(window))
}

fn records_name(window: Duration) -> String {
    format!("adpipe:records_judged:increase{}", prometheus_duration(window))
}

/// Fewer records say nothing.
fn enough(rule: &Rule) -> String {
    match rule.records {
        0 => String::new(),
        records => format!(" and {} >= {records}", records_name(rule.window)),
    }
}

/// The sentence for people, with Prometheus' placeholders for what only it knows.
fn summary(rule: &Rule, language: Language, expression: &Expression) -> String {
    let template = match language {
        Language::English => &rule.summary,
        Language::Korean => &rule.summary_ko,
    };
    let unit = rule.signal.unit();
    let value = match (expression.says, unit) {
        (Some(duration), _) => format_duration(language, duration.as_secs_f64()),
        (None, Unit::Count) => "{{ $value | printf \"%.0f\" }}".to_owned(),
        (None, Unit::Seconds) => "{{ $value | humanizeDuration }}".to_owned(),
        (None, Unit::Share) => "{{ $value | humanizePercentage }}".to_owned(),
        (None, Unit::Times) => "{{ $value | printf \"%.1f\" }}".to_owned(),
    };
    fill(template, |name| {
        Some(match name {
            "value" => value.clone(),
            "threshold" => unit.format(language, rule.bound.threshold()),
            "window" => format_duration(language, rule.window.as_secs_f64()),
            "process" | "host" => "{{ $labels.instance }}".to_owned(),
            label => format!("{{{{ $labels.{label} }}}}"),
        })
    })
}

/// When it fires, for readers of the alert.
fn description(rule: &Rule) -> String {
    let side = match rule.bound {
        Bound::Above(_) => "more than",
        Bound::Below(_) => "less than",
    };
    let english = Language::English;
    let threshold = rule.signal.unit().format(english, rule.bound.threshold());
    let mut text = format!("Fires while {} is {side} {threshold}", rule.signal.word());
    if !rule.window.is_zero() {
        text += &format!(", measured over {}", format_duration(english, rule.window.as_secs_f64()));
    }
    if let Some(short) = rule.short_window {
        text += &format!(" and over {}", format_duration(english, short.as_secs_f64()));
    }
    if !rule.hold.is_zero() {
        text += &format!(", for {}", format_duration(english, rule.hold.as_secs_f64()));
    }
    if rule.records > 0 {
        text += &format!(", with at least {} records", Unit::Count.format(english, rule.records as f64));
    }
    text + "."
}

/// A duration in PromQL, in one unit: `90s`, `5m`, `1h`.
pub fn prometheus_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    match millis {
        0 => "0s".to_owned(),
        whole if whole % 3_600_000 == 0 => format!("{}h", whole / 3_600_000),
        whole if whole % 60_000 == 0 => format!("{}m", whole / 60_000),
        whole if whole % 1_000 == 0 => format!("{}s", whole / 1_000),
        whole => format!("{whole}ms"),
    }
}

/// As YAML's double-quoted scalar, of which JSON's strings are a part.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_file_is_made_of_the_table() {
        let links = Links { runbook: "docs/RUNBOOK.md".to_owned(), ..Links::default() };
        let made = rule_file(&Rules::built_in().unwrap(), &links);
        let committed = include_str!("../../../config/alert_rules.yml");
        assert!(made == committed, "run `adpipe alerts rules > config/alert_rules.yml`; it is now\n{made}");
    }

    #[test]
    fn durations_are_in_one_unit() {
        let written = |millis| prometheus_duration(Duration::from_millis(millis));
        let durations = [0, 1_500, 45_000, 90_000, 300_000, 7_200_000, 86_400_000].map(written);
        assert_eq!(durations, ["0s", "1500ms", "45s", "90s", "5m", "2h", "24h"]);
    }
}
