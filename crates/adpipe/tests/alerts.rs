//! `adpipe alerts`: the table, the rules made of it, the monitor's work by a schedule alone, and
//! what people do about alerts.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use std::process::Command;

use adpipe_testkit::eventually_some;
use common::{Folder, Running, adpipe_in, shown};
use serde_json::Value;

/// One alert that fires soon.
const SHORT: &str = r#"
[[alert]]
name = "DlqExhausted"
signal = "dlq_exhausted"
above = 0.0
for = "1s"
severity = "critical"
summary = "{value} errors wait"
summary_ko = "{value}"

[[alert]]
name = "DlqGrowing"
signal = "dlq_growth"
above = 1000.0
window = "15m"
for = "1m"
severity = "warning"
summary = "{value} more"
summary_ko = "{value}"

[[alert]]
name = "DagFailed"
signal = "dag_failures"
above = 0.0
for = "0s"
severity = "critical"
summary = "{dag} failed {value} times"
summary_ko = "{value}"
"#;

/// A folder with one good event and one error that waits for somebody.
fn troubled() -> Folder {
    let folder = Folder::new();
    std::fs::create_dir(folder.join("config")).unwrap();
    std::fs::write(folder.join("config/alerts.toml"), SHORT).unwrap();
    folder.generate("good.ndjson", &["--rows", "10"]);
    let good = std::fs::read_to_string(folder.join("good.ndjson")).unwrap();
    std::fs::write(folder.join("mixed.ndjson"), good + "not json\n").unwrap();
    folder.run(&["ingest", "--wait", "mixed.ndjson"]);
    // Nobody else runs: it stores what has come by itself.
    folder.run(&["dlq", "retry", "--due"]);
    folder
}

fn alerts(folder: &Folder, arguments: &[&str]) -> Command {
    let mut command = folder.adpipe(&["alerts"]);
    command.args(arguments).env("ADPIPE_ALERTS__EVERY", "100ms");
    command
}

/// Runs to this exit code; gives what it printed on stdout and stderr.
fn ended(folder: &Folder, code: i32, arguments: &[&str]) -> (String, String) {
    let output = alerts(folder, arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(code), "adpipe alerts {arguments:?}: {}", shown(&output));
    (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

fn json(folder: &Folder, code: i32, arguments: &[&str]) -> Value {
    let (stdout, stderr) = ended(folder, code, arguments);
    serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}{stderr}"))
}

#[test]
fn the_rules_are_those_of_the_table() {
    let folder = Folder::new();
    // No data is needed, and without a file the built-in table counts.
    let made = folder.run(&["alerts", "rules"]);
    assert_eq!(made, include_str!("../../../config/alert_rules.yml"));
    let linked =
        folder.run(&["alerts", "rules", "--runbook", "https://x/RUNBOOK.md", "--grafana", "https://g/"]);
    assert!(linked.contains("runbook_url: \"https://x/RUNBOOK.md#dlqexhausted\""), "{linked}");
    assert!(linked.contains("dashboard: \"https://g/d/adpipe-dlq\""), "{linked}");

    std::fs::create_dir(folder.join("config")).unwrap();
    std::fs::write(folder.join("config/alerts.toml"), SHORT).unwrap();
    let own = folder.run(&["alerts", "rules"]);
    assert!(own.contains("AdpipeDlqExhausted") && !own.contains("AdpipeLatencyHigh"), "{own}");

    // What is wrong is told with its line, and the roles do not start.
    std::fs::write(folder.join("config/alerts.toml"), SHORT.replace("above = 0.0", "above = -1")).unwrap();
    for arguments in [&["alerts", "rules"] as &[&str], &["run", "monitor"], &["up"]] {
        let words = folder.fail(2, arguments);
        assert!(words.contains("config/alerts.toml:5: alert DlqExhausted: a threshold is"), "{words}");
    }
    let output = folder.adpipe(&["alerts", "rules"]).env("ADPIPE_ALERTS__RULES_FILE", "mine.toml").output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(shown(&output).contains("alerts.rules_file: mine.toml cannot be read"), "{}", shown(&output));
}

#[test]
fn without_data_it_says_what_to_do() {
    let folder = Folder::new();
    for arguments in [&["list"] as &[&str], &["history"], &["check"], &["silences"], &["ack", "X"]] {
        let (_, words) = ended(&folder, 1, arguments);
        assert!(words.contains("no data in"), "{words}");
    }
}

#[test]
fn a_schedule_alone_moves_alerts_on_and_people_deal_with_them() {
    let folder = troubled();
    assert!(ended(&folder, 0, &["list"]).0.contains("no alerts need attention"));
    assert!(ended(&folder, 0, &["list"]).1.contains("no monitor is running"));
    assert!(ended(&folder, 0, &["history"]).0.contains("nothing fired"));
    assert!(ended(&folder, 0, &["silences"]).0.contains("nothing is silenced"));

    // Looked at once, it is pending; looked at until it has held, it fires. No webhook is set, so
    // the schedule's own way of telling is all there is.
    let found = json(&folder, 0, &["check", "--signal", "dlq", "--no-wait", "--json"]);
    assert_eq!(found["alerts"][0]["state"], "pending", "{found}");
    let (told, words) = ended(&folder, 1, &["check", "--signal", "dlq"]);
    assert!(told.contains("DlqExhausted firing since ") && told.contains(": 1 errors wait"), "{told}");
    assert!(told.contains("1 needs a decision  "), "the causes are named: {told}");
    assert!(words.contains("no webhook is set"), "{words}");

    // Other rules' alerts are none of this check's business.
    assert!(
        ended(&folder, 0, &["check", "--rule", "DagFailed"]).0.contains("no alerts need attention (1 alert")
    );
    let listed = json(&folder, 0, &["list", "--json"]);
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["rule"]), (1, &"DlqExhausted".into()));
    assert_eq!((&listed[0]["state"], &listed[0]["is_silenced"]), (&"firing".into(), &false.into()));
    let id = listed[0]["alert_id"].as_str().unwrap().to_owned();

    // Silenced: shown, and nobody needs to be told.
    let (silenced, _) =
        ended(&folder, 0, &["silence", "DlqExhausted", "--for", "2h", "--comment", "repairing"]);
    assert!(silenced.starts_with("DlqExhausted is silenced from "), "{silenced}");
    assert!(ended(&folder, 0, &["check", "--signal", "dlq"]).0.contains(", silenced)"));
    assert!(ended(&folder, 1, &["check", "--signal", "dlq", "--fail"]).0.contains("firing"));
    let silences = json(&folder, 0, &["silences", "--json"]);
    assert_eq!(silences[0]["comment"], "repairing");
    let silence = silences[0]["silence_id"].as_str().unwrap();
    assert!(ended(&folder, 0, &["unsilence", silence]).0.contains("no longer silenced"));
    assert!(ended(&folder, 1, &["unsilence", silence]).1.contains("no silence begins with"));
    ended(&folder, 1, &["check", "--signal", "dlq"]);

    // Taken on.
    assert!(ended(&folder, 0, &["ack", "DlqExhausted", "--note", "mine"]).0.contains("is acknowledged"));
    assert!(ended(&folder, 0, &["check", "--signal", "dlq"]).0.contains(", acknowledged by "));
    assert!(ended(&folder, 0, &["list"]).0.contains("1 errors wait"));

    // Dealt with.
    folder.run(&["dlq", "discard", "--all", "--yes", "--reason", "a test"]);
    assert!(
        ended(&folder, 0, &["check", "--fail"]).0.contains("no alerts need attention (3 alerts checked)")
    );
    let history = json(&folder, 0, &["history", "--json"]);
    assert_eq!((&history[0]["state"], &history[0]["note"]), (&"resolved".into(), &"mine".into()));
    assert_eq!(history[0]["alert_id"], id.as_str());
    assert!(ended(&folder, 0, &["history"]).0.contains("mine"));
    assert!(ended(&folder, 1, &["ack", &id]).1.contains("has already resolved"));
}

#[test]
fn what_makes_no_sense_is_refused_with_what_there_is() {
    let folder = troubled();
    let wrong: [(&[&str], &str); 7] = [
        (&["ack", "Errors"], "there is no alert \"Errors\"; there are: DlqExhausted"),
        (&["check", "--signal", "errors"], "no alert watches a signal \"errors\"; there are: dlq_exhausted"),
        (&["check", "--rule", "Errors"], "there is no alert \"Errors\"; there are: DlqExhausted"),
        (&["silence", "Errors", "--for", "1h"], "there is no alert \"Errors\""),
        (&["silence", "DagFailed", "--for", "1h", "--label", "dag"], "write --label NAME=VALUE"),
        (&["silence", "DagFailed", "--for", "1h", "--label", "dga=x"], "has no label \"dga\"; it has dag"),
        (&["silence", "--all", "--for", "0s"], "must last for more than zero"),
    ];
    let not_there: [(&[&str], &str); 2] = [
        (&["ack", "DlqExhausted"], "DlqExhausted is not open"),
        (&["unsilence", "x"], "no silence begins with \"x\""),
    ];
    let coded = wrong.map(|case| (2, case)).into_iter().chain(not_there.map(|case| (1, case)));
    for (code, (arguments, expected)) in coded {
        let (_, words) = ended(&folder, code, arguments);
        assert!(words.contains(expected), "{arguments:?}: {words}");
    }
    ended(&folder, 2, &["silence", "DagFailed"]);
    ended(&folder, 2, &["silence", "--for", "1h"]);
}

/// Waits until the open alerts are as they should be.
fn await_open(folder: &Folder, what: &str, is_it: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    eventually_some(what, || {
        let open = json(folder, 0, &["list", "--json"]).as_array().unwrap().clone();
        is_it(&open).then_some(open)
    })
}

#[test]
fn the_monitor_of_adpipe_up_survives_its_death() {
    let folder = troubled();
    let start = || {
        let mut command = folder.adpipe(&["up"]);
        command.env("ADPIPE_ALERTS__EVERY", "200ms");
        Running::start(command)
    };
    let mut up = start();
    let fires = |open: &[Value]| open.len() == 1 && open[0]["state"] == "firing";
    let before = await_open(&folder, "it fires", fires);
    assert_eq!(before[0]["announced"], "firing");

    // While it is running, a check only reports, and leaves the telling to it.
    let (told, words) = ended(&folder, 0, &["check", "--signal", "dlq"]);
    assert!(told.contains("DlqExhausted firing since "), "{told}");
    assert!(words.contains("a monitor is running"), "{words}");

    // After kill -9 the next one continues with the same alert.
    up.signal("KILL");
    up.child.wait().unwrap();
    let up = start();
    let kept = await_open(&folder, "it still fires", fires);
    assert_eq!(kept[0]["alert_id"], before[0]["alert_id"]);
    assert_eq!(kept[0]["firing_since"], before[0]["firing_since"]);
    folder.run(&["dlq", "discard", "--all", "--yes", "--reason", "a test"]);
    await_open(&folder, "it is over", |open| open.is_empty());
    let history = json(&folder, 0, &["history", "--json"]);
    assert_eq!(history.as_array().unwrap().len(), 1, "{history}");
    assert_eq!((&history[0]["state"], &history[0]["announced"]), (&"resolved".into(), &"resolved".into()));
    drop(up);
}

#[test]
fn the_monitor_alone_is_a_role_and_a_second_one_stands_by() {
    let folder = troubled();
    let start = || {
        let mut command = adpipe_in(folder.path());
        command.env("ADPIPE_ALERTS__EVERY", "200ms");
        command.arg("--data").arg(folder.join("data")).args(["run", "monitor"]);
        command.stdout(std::process::Stdio::null()).spawn().unwrap()
    };
    let (mut first, mut second) = (start(), start());
    let fires = |open: &[Value]| open.len() == 1 && open[0]["state"] == "firing";
    let before = await_open(&folder, "it fires", fires);
    // Whichever of them is active: the other one takes over at once.
    first.kill().unwrap();
    first.wait().unwrap();
    let alert = &before[0]["alert_id"];
    folder.run(&["dlq", "discard", "--all", "--yes", "--reason", "a test"]);
    await_open(&folder, "it is over", |open| open.is_empty());
    let history = json(&folder, 0, &["history", "--json"]);
    assert_eq!((history.as_array().unwrap().len(), &history[0]["alert_id"]), (1, alert), "{history}");
    second.kill().unwrap();
    second.wait().unwrap();
}
