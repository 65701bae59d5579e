//! The table of alerts: the built-in one is right, and what is wrong is told with its line.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

use std::path::Path;
use std::time::Duration;

use adpipe_monitor::rules::{Bound, Language, Rules, Severity};
use adpipe_monitor::signal::{Labels, Signal};

fn parse(text: &str) -> Result<Rules, String> {
    Rules::parse(text, Path::new("alerts.toml")).map_err(|error| error.to_string())
}

/// A right alert, with lines put in place of others.
fn table(changes: &[(&str, &str)]) -> String {
    let mut lines = vec![
        ("name", "name = \"ErrorRateHigh\""),
        ("signal", "signal = \"error_share\""),
        ("above", "above = 0.01"),
        ("window", "window = \"5m\""),
        ("for", "for = \"2m\""),
        ("records", "records = 1000"),
        ("severity", "severity = \"critical\""),
        ("summary", "summary = \"{value} over {threshold} within {window}\""),
        ("summary_ko", "summary_ko = \"{value} {threshold} {window}\""),
    ];
    for (key, line) in changes {
        match lines.iter().position(|(known, _)| known == key) {
            Some(index) if line.is_empty() => drop(lines.remove(index)),
            Some(index) => lines[index].1 = line,
            None => lines.push((key, line)),
        }
    }
    let lines: Vec<&str> = lines.into_iter().map(|(_, line)| line).collect();
    format!("[[alert]]\n{}\n", lines.join("\n"))
}

#[test]
fn the_built_in_table_is_right() {
    let rules = Rules::built_in().unwrap();
    assert_eq!(rules.0.len(), 19);
    let rule = rules.find("ErrorBudgetBurnFast").unwrap();
    assert_eq!(
        (rule.signal, rule.bound, rule.severity),
        (Signal::BurnRate, Bound::Above(14.4), Severity::Critical)
    );
    assert_eq!(
        (rule.window, rule.short_window),
        (Duration::from_secs(3_600), Some(Duration::from_secs(300)))
    );
    assert_eq!((rule.hold, rule.records), (Duration::from_secs(120), 1_000));
    let rule = rules.find("ThroughputLow").unwrap();
    assert_eq!((rule.bound, rule.hold), (Bound::Below(1_000.0), Duration::from_secs(300)));
    // The three that the issue names.
    assert_eq!(rules.find("LatencyHigh").unwrap().bound, Bound::Above(5.0));
    assert_eq!(rules.find("ErrorRateHigh").unwrap().bound, Bound::Above(0.01));
}

#[test]
fn a_table_that_is_right_is_read() {
    let rules = parse(&table(&[])).unwrap();
    let rule = &rules.0[0];
    assert_eq!((rule.name.as_str(), rule.signal, rule.records), ("ErrorRateHigh", Signal::ErrorShare, 1_000));
    assert_eq!(rule.summary(Language::English, &Labels::new(), 0.0234), "2.34 % over 1 % within 5 min");
    assert_eq!(rule.summary(Language::Korean, &Labels::new(), 0.0234), "2.34% 1% 5분");
}

#[test]
fn what_is_wrong_is_told_with_its_line_and_what_to_write() {
    let two = table(&[]) + &table(&[]);
    let cases: [(String, &str); 22] = [
        (String::new(), "alerts.toml:1: there is no alert in it: write [[alert]]"),
        (two, "alerts.toml:12: there are two alerts ErrorRateHigh"),
        (table(&[("treshold", "treshold = 1")]), "alerts.toml:11: unknown field `treshold`"),
        ("[alerts]\n".to_owned(), "alerts.toml:1: unknown field `alerts`"),
        (table(&[("name", "name = \"error rate\"")]), "alerts.toml:2: \"error rate\" is not a name: write"),
        (
            table(&[("signal", "signal = \"errors\"")]),
            "alerts.toml:3: there is no signal \"errors\"; there are: throughput",
        ),
        (
            table(&[("above", "")]),
            "alerts.toml:2: alert ErrorRateHigh has no threshold: write above = … or below",
        ),
        (table(&[("below", "below = 0.5")]), "alerts.toml:11: alert ErrorRateHigh has both above and below"),
        (
            table(&[("above", "above = 1.5")]),
            "alerts.toml:4: alert ErrorRateHigh: 1.5 is not a share; write a number from 0 to 1",
        ),
        (
            table(&[("above", "above = -0.1")]),
            "alerts.toml:4: alert ErrorRateHigh: a threshold is a number of at least 0",
        ),
        (
            table(&[("above", "above = nan")]),
            "alerts.toml:4: alert ErrorRateHigh: a threshold is a number of at least 0",
        ),
        (
            table(&[("window", "window = \"0s\"")]),
            "alerts.toml:5: alert ErrorRateHigh: window must be more than zero",
        ),
        (table(&[("window", "window = \"5\"")]), "alerts.toml:5: \"5\" is not a duration like \"30s\""),
        (
            table(&[("window", "")]),
            "alerts.toml:3: alert ErrorRateHigh: error_share is measured over a window; write window",
        ),
        (table(&[("for", "")]), "alerts.toml:1: missing field `for`"),
        (
            table(&[("severity", "severity = \"page\"")]),
            "alerts.toml:8: unknown variant `page`, expected `warning` or `critical`",
        ),
        (
            table(&[("short_window", "short_window = \"1m\"")]),
            "alerts.toml:11: alert ErrorRateHigh: only burn_rate has a short_window",
        ),
        (
            table(&[("signal", "signal = \"burn_rate\"")]),
            "alerts.toml:3: alert ErrorRateHigh: burn_rate has two windows",
        ),
        (
            table(&[("signal", "signal = \"burn_rate\""), ("short_window", "short_window = \"5m\"")]),
            "alerts.toml:11: alert ErrorRateHigh: short_window must be shorter than window",
        ),
        (
            table(&[
                ("signal", "signal = \"stalled\""),
                ("window", ""),
                ("summary", "summary = \"{value}\""),
                ("summary_ko", "summary_ko = \"{value}\""),
            ]),
            "alerts.toml:6: alert ErrorRateHigh: stalled is not a share of records; leave records out",
        ),
        (
            table(&[("signal", "signal = \"stalled\"")]),
            "alerts.toml:5: alert ErrorRateHigh: stalled is measured at one moment; leave window out",
        ),
        (
            table(&[("summary", "summary = \"{dag} failed\"")]),
            "alerts.toml:9: alert ErrorRateHigh: there is no placeholder {dag}; there are: {value}, {threshold}, {window}",
        ),
    ];
    for (text, expected) in cases {
        let error = parse(&text).unwrap_err();
        assert!(error.starts_with(expected), "{text}\n{error}\n{expected}");
    }
    let error = Rules::load(Path::new("/nowhere/alerts.toml")).unwrap_err().to_string();
    assert!(error.starts_with("/nowhere/alerts.toml cannot be read: "), "{error}");
}

#[test]
fn summaries_have_their_labels_and_units() {
    let rules = Rules::built_in().unwrap();
    let labels = |name: &str, value: &str| Labels::from([(name.to_owned(), value.to_owned())]);
    let cases = [
        ("ThroughputLow", Labels::new(), 612.4, "Only 612 events a minute come through, less than 1,000"),
        (
            "LatencyHigh",
            Labels::new(),
            7.23,
            "95 % of the events take up to 7.2 s from the log to the figures, more than 5 s",
        ),
        ("LagGrowing", Labels::new(), 123_456.0, "123,456 more records wait than 10 min ago"),
        ("DagFailed", labels("dag", "dag_daily_etl"), 2.0, "dag_daily_etl failed; runs in a row: 2"),
        (
            "DagMissed",
            labels("dag", "dag_daily_etl"),
            7_500.0,
            "dag_daily_etl should have started 2 h 5 min ago",
        ),
        (
            "SourceStale",
            labels("source", "realtime.events"),
            90.0,
            "realtime.events got nothing new for 1 min 30 s longer than it may",
        ),
        ("DiskFilling", labels("host", "db1"), 0.042, "Only 4.2 % of the disk of db1 is free"),
        (
            "ErrorBudgetBurnFast",
            Labels::new(),
            23.44,
            "Errors use up the month's budget 23.4 times as fast as allowed",
        ),
    ];
    for (name, labels, value, expected) in cases {
        assert_eq!(rules.find(name).unwrap().summary(Language::English, &labels, value), expected);
    }
    let korean = rules.find("DagMissed").unwrap().summary(Language::Korean, &labels("dag", "dag_x"), 7_500.0);
    assert_eq!(korean, "dag_x 실행이 예정보다 2시간 5분 늦었습니다");
    // A label that a series does not have is seen as missing, not as empty.
    let bare = rules.find("DagFailed").unwrap().summary(Language::English, &Labels::new(), 1.0);
    assert_eq!(bare, "{dag} failed; runs in a row: 1");
}
