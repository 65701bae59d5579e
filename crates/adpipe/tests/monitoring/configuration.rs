//! The files themselves: the tools find no fault, and table, rules, dashboards and runbook agree.

use std::process::{Command, Output};

use adpipe_testkit::alertmanager::amtool;
use adpipe_testkit::prometheus::promtool;
use adpipe_testkit::skip;

use crate::common::shown;
use crate::files::{alerts, dashboards, panels, read, root, values};

/// Alerts that no panel draws as a line: their expressions are 0 or 1, and they have panels of their
/// own ("Targets", "Warehouse").
const WITHOUT_A_LINE: [&str; 2] = ["TargetDown", "WarehouseDown"];

fn clean(output: Option<Output>) {
    if let Some(output) = output {
        assert!(output.status.success(), "{}", shown(&output));
    }
}

fn path(name: &str) -> String {
    root().join(name).to_str().unwrap().to_owned()
}

#[test]
fn promtool_and_amtool_find_no_fault() {
    let test = "promtool_and_amtool_find_no_fault";
    clean(promtool(test, &["check", "config", &path("config/prometheus.yml")]));
    for rules in ["config/alert_rules.yml", "config/alert_rules_exporters.yml"] {
        clean(promtool(test, &["check", "rules", "--lint-fatal", &path(rules)]));
    }
    for tests in ["config/alert_rules_test.yml", "config/alert_rules_exporters_test.yml"] {
        clean(promtool(test, &["test", "rules", &path(tests)]));
    }
    clean(amtool(test, &["check-config", &path("config/alertmanager.yml")]));
}

#[test]
fn every_alert_has_a_rule_test() {
    for (rules, tests) in [
        ("config/alert_rules.yml", "config/alert_rules_test.yml"),
        ("config/alert_rules_exporters.yml", "config/alert_rules_exporters_test.yml"),
    ] {
        let tests = read(tests);
        for alert in values(&read(rules), "alert") {
            assert!(tests.contains(&alert), "{alert} of {rules} is not tested");
        }
    }
}

/// The script's output is committed, so that nobody needs Python to use it.
#[test]
fn dashboards_are_what_their_script_makes() {
    let has_python = Command::new("python3").args(["-c", "import tomllib"]).output();
    if !has_python.is_ok_and(|output| output.status.success()) {
        skip("dashboards_are_what_their_script_makes", "Python 3.11 is not installed");
        return;
    }
    let script = path("config/grafana/dashboards.py");
    let output = Command::new("python3").args(["-B", &script, "--check"]).output().unwrap();
    assert!(output.status.success(), "{}", shown(&output));
}

#[test]
fn grafanas_linter_finds_no_fault() {
    let cache = std::env::var("XDG_CACHE_HOME")
        .or_else(|_| std::env::var("HOME").map(|home| format!("{home}/.cache")))
        .unwrap_or_default();
    let linter = format!("{cache}/adpipe/dashboard-linter/dashboard-linter");
    if !std::path::Path::new(&linter).exists() {
        skip("grafanas_linter_finds_no_fault", ".ci/dashboard-linter/install has not made the linter");
        return;
    }
    for (file, _) in dashboards() {
        let dashboard = path(&format!("config/grafana/dashboards/{file}"));
        let output = Command::new(&linter).args(["lint", "--strict", &dashboard]).output().unwrap();
        assert!(output.status.success(), "{file}: {}", shown(&output));
    }
    // It would say so if there were one.
    let broken = dashboards()[0].1.to_string().replace("$__rate_interval", "1m");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("broken.json");
    std::fs::write(&file, broken).unwrap();
    let output = Command::new(&linter).args(["lint", "--strict"]).arg(&file).output().unwrap();
    assert!(!output.status.success(), "{}", shown(&output));
}

/// Newer schemas cannot be provisioned from files, and ids of another Grafana mean nothing here.
#[test]
fn dashboards_can_be_provisioned() {
    let dashboards = dashboards();
    assert_eq!(dashboards.len(), 4);
    for (file, dashboard) in dashboards {
        assert_eq!(file, format!("{}.json", dashboard["uid"].as_str().unwrap()));
        assert!(dashboard["schemaVersion"].as_u64().unwrap() <= 42, "{file}");
        assert!(dashboard["id"].is_null(), "{file}");
        assert!(dashboard.get("__inputs").is_none(), "{file}");
        let mut ids: Vec<u64> = dashboard["panels"]
            .as_array()
            .unwrap()
            .iter()
            .map(|panel| panel["id"].as_u64().unwrap())
            .collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count, "{file}");
    }
}

#[test]
fn panels_turn_red_where_alerts_fire() {
    let panels = panels();
    for alert in alerts() {
        let sentence = format!(
            "Alert {}: {} {}{}.",
            alert.name,
            if alert.is_above { "more than" } else { "less than" },
            alert.threshold,
            if alert.hold == "0s" { String::new() } else { format!(" for {}", alert.hold) },
        );
        let drawn: Vec<_> = panels.iter().filter(|panel| panel.description.contains(&sentence)).collect();
        assert_eq!(
            drawn.is_empty(),
            WITHOUT_A_LINE.contains(&alert.name.as_str()),
            "no panel says: {sentence}"
        );
        let bad = if alert.severity == "critical" { "red" } else { "orange" };
        let (below, above) = if alert.is_above { ("green", bad) } else { (bad, "green") };
        let expected = [(None, below.to_owned()), (Some(alert.threshold), above.to_owned())];
        for panel in drawn {
            assert_eq!(panel.steps, expected, "{} {}", panel.dashboard, panel.title);
        }
    }
    // And none has a threshold of its own.
    for panel in panels {
        assert_eq!(
            panel.steps.is_empty(),
            !panel.description.contains("Alert "),
            "{} {}",
            panel.dashboard,
            panel.title
        );
    }
}

/// Headings of the runbook are the alerts' names, in both directions, and links of rules lead there.
#[test]
fn the_runbook_has_a_section_for_each_alert() {
    let runbook = read("docs/RUNBOOK.md");
    let mut headings: Vec<&str> = runbook.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let exporters = read("config/alert_rules_exporters.yml");
    let of_exporters = values(&exporters, "alert");
    let mut names: Vec<String> = alerts().into_iter().map(|alert| alert.name).collect();
    names.extend(of_exporters.iter().map(|name| name.strip_prefix("Adpipe").unwrap().to_owned()));
    names.sort();
    headings.sort_unstable();
    assert_eq!(headings, names);

    for rules in [exporters, read("config/alert_rules.yml")] {
        let links = values(&rules, "runbook_url");
        let anchors = values(&rules, "alert");
        let expected: Vec<String> = anchors
            .iter()
            .map(|name| format!("docs/RUNBOOK.md#{}", name.strip_prefix("Adpipe").unwrap().to_lowercase()))
            .collect();
        assert_eq!(links, expected);
    }
    for section in runbook.split("\n## ").skip(1) {
        let name = section.lines().next().unwrap();
        for part in ["**Means**", "**See**", "**Do**"] {
            assert!(section.contains(part), "{name} lacks {part}");
        }
    }
}

/// A rule whose link leads to a dashboard that is not there is worse than none.
#[test]
fn rules_link_to_dashboards_that_are_there() {
    let uids: Vec<String> = dashboards()
        .iter()
        .map(|(_, dashboard)| format!("/d/{}", dashboard["uid"].as_str().unwrap()))
        .collect();
    for rules in ["config/alert_rules.yml", "config/alert_rules_exporters.yml"] {
        for link in values(&read(rules), "dashboard") {
            assert!(uids.contains(&link), "{rules}: {link}");
        }
    }
}
