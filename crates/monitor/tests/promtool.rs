//! promtool, Prometheus' own, reads the rules that are made of the table and tests every alert.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

use std::path::{Path, PathBuf};
use std::process::Command;

use adpipe_monitor::prometheus_rules::{Links, rule_file};
use adpipe_monitor::rules::Rules;

fn config(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config").join(file)
}

/// What promtool says; None when it is not installed.
fn promtool(test: &str, arguments: &[&str], file: &Path) -> Option<(bool, String)> {
    let output = match Command::new("promtool").args(arguments).arg(file).output() {
        Ok(output) => output,
        Err(_) => {
            adpipe_testkit::skip(test, "promtool is not installed (Debian: prometheus)");
            return None;
        }
    };
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    Some((output.status.success(), said))
}

#[test]
fn promtool_finds_the_rules_clean() {
    let test = "promtool_finds_the_rules_clean";
    let check = ["check", "rules", "--lint=all", "--lint-fatal"];
    let Some((is_clean, said)) = promtool(test, &check, &config("alert_rules.yml")) else { return };
    assert!(is_clean, "{said}");
    assert!(said.contains("SUCCESS"), "{said}");
}

#[test]
fn every_alert_is_quiet_pending_firing_and_over_when_it_should() {
    let test = "every_alert_is_quiet_pending_firing_and_over_when_it_should";
    let file = config("alert_rules_test.yml");
    // A rule that is added to the table without a test is told here, promtool or not.
    let text = std::fs::read_to_string(&file).unwrap();
    for rule in Rules::built_in().unwrap().iter() {
        let name = rule.prometheus_name();
        let fires = format!("alertname=\"{name}\", alertstate=\"firing\"");
        assert!(text.contains(&fires), "alert_rules_test.yml has no test in which {name} fires");
        let quiet = format!("ALERTS{{alertname=\"{name}\"}}', exp_samples: []");
        assert!(text.matches(&quiet).count() >= 2, "{name} is to be quiet before it fires, and after");
    }
    let Some((passes, said)) = promtool(test, &["test", "rules"], &file) else { return };
    assert!(passes, "{said}");
}

#[test]
fn any_table_makes_rules_that_promtool_takes() {
    let test = "any_table_makes_rules_that_promtool_takes";
    let table = r#"
        [[alert]]
        name = "ErrorsAtAll"
        signal = "error_share"
        above = 0.0
        window = "1500ms"
        for = "0s"
        severity = "warning"
        summary = 'say "{value}" \ # : {window}'
        summary_ko = "{value}"
        [[alert]]
        name = "Waiting"
        signal = "lag"
        above = 12.5
        for = "90s"
        severity = "critical"
        summary = "{value}"
        summary_ko = "{value}"
        [[alert]]
        name = "Open"
        signal = "dlq_open"
        above = 1e9
        for = "90s"
        severity = "critical"
        summary = "{value}"
        summary_ko = "{value}"
    "#;
    let rules = Rules::parse(table, Path::new("alerts.toml")).unwrap();
    let links = Links {
        runbook: "https://example.com/RUNBOOK.md".to_owned(),
        grafana: "https://grafana.example.com".to_owned(),
        console: "http://localhost:8088/".to_owned(),
    };
    let made = rule_file(&rules, &links);
    assert!(made.contains("console: \"http://localhost:8088/operations\""), "{made}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.yml");
    std::fs::write(&file, &made).unwrap();
    let Some((is_clean, said)) = promtool(test, &["check", "rules"], &file) else { return };
    assert!(is_clean, "{said}\n{made}");
}
