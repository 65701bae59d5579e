//! Wrong usage ends with exit code 2, whichever command it is, and says what to write.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use std::process::Command;

use common::{ADPIPE, Folder, shown};

/// What makes no sense whatever the data are, and a word of the answer.
const WRONG: &[(&[&str], &str)] = &[
    (&["demo", "--days", "many"], "--days"),
    (&["demo", "--days", "61"], "61"),
    (&["run", "everything"], "stream"),
    (&["ingest"], "FILE"),
    (&["ingest", "--format", "xml", "x"], "ndjson"),
    (&["ingest", "."], "is a folder"),
    (&["generate"], "--rows"),
    (&["generate", "--rows", "5", "--bad", "7"], "bad"),
    (&["generate", "--rows", "5", "--start", "2026-01-02", "--end", "2026-01-01"], "before"),
    (&["generate", "--rows", "5", "--start", "soon"], "--start"),
    (&["generate", "--rate", "0"], "--rate"),
    (&["etl", "--date", "yesterday"], "2014-10-21"),
    (&["sql"], "no statement"),
    (&["sql", "select 1", "--timeout", "soon"], "--timeout"),
    (&["sql", "select 1", "--memory", "much"], "--memory"),
    (&["sql", "select 1", "--json", "--format", "csv"], "--format"),
    (&["verify", "--seal"], "--deep"),
    (&["health", "console"], "console"),
    (&["topic", "create", "ad_events_raw"], "ad_events_raw"),
    (&["stores", "accept", "cellar"], "realtime"),
    (&["stores", "accept"], "NAME"),
    (&["backup"], "FOLDER"),
    (&["restore"], "FOLDER"),
    (&["rebuild", "now"], "now"),
    (&["transform"], "build"),
    (&["transform", "run", "--vars", "[1"], "vars"),
    (&["transform", "run", "--select", "no_such_model"], "no_such_model"),
    (&["transform", "export"], "FOLDER"),
    (&["transform", "ls", "--select", "no_such_model"], "no_such_model"),
    (&["transform", "show"], "NAME"),
    (&["transform", "show", "no_such_model"], "transform ls"),
    (&["topic"], "list"),
    (&["topic", "show"], "TOPIC"),
    (&["topic", "show", "cellar"], "ad_events_raw"),
    (&["topic", "show", "ad_events_raw", "--limit", "few"], "--limit"),
    (&["doctor", "--cure"], "--cure"),
    (&["config"], "show"),
    (&["bench", "luck"], "parse"),
    (&["completions", "csh"], "bash"),
    (&["man", "1"], "1"),
    (&["dag", "run", "dag_lunch"], "dag_daily_etl"),
    (&["dag", "run", "dag_daily_etl", "--date", "tomorrow"], "--date"),
    (&["dag", "run", "dag_daily_etl", "--date", "2099-01-01"], "has not begun"),
    (&["dag", "runs", "dag_lunch"], "dag_daily_etl"),
    (&["dag", "runs", "--limit", "0"], "--limit"),
    (&["dag", "logs", "dag_lunch"], "dag_daily_etl"),
    (&["dag", "retry", "dag_lunch"], "dag_daily_etl"),
    (&["dag", "cancel", "dag_lunch"], "dag_daily_etl"),
    (&["dag", "backfill", "dag_daily_etl", "--from", "2026-02-01", "--to", "2026-01-01"], "is before"),
    (&["alerts", "check", "--rule", "Lunch"], "there are"),
    (&["alerts", "check", "--signal", "hunger"], "there are"),
    (&["alerts", "silence", "Lunch", "--for", "1h", "--comment", "x"], "there are"),
    (&["alerts", "silence", "DagFailed", "--label", "dag", "--for", "1h", "--comment", "x"], "NAME=VALUE"),
    (&["alerts", "silence", "DagFailed", "--label", "cat=x", "--for", "1h", "--comment", "x"], "no label"),
    (&["alerts", "silence", "DagFailed", "--for", "0s", "--comment", "x"], "more than zero"),
    (&["alerts", "history", "--since", "ever"], "--since"),
    (&["alerts", "ack", ""], "which alert"),
    (&["alerts", "ack", "Lunch"], "there are"),
    (&["alerts", "summary", "--date", "1"], "--date"),
    (&["dlq", "list", "--since", "soon"], "is not a time"),
    (&["dlq", "list", "--status", "lost"], "exhausted"),
    (&["dlq", "show"], "ID"),
    (&["dlq", "retry"], "say which"),
    (&["dlq", "retry", "--all"], "--yes"),
    (&["dlq", "retry", "--due", "--all"], "--all"),
    (&["dlq", "retry", "--all", "--yes", "--wait", "soon"], "--wait"),
    (&["dlq", "edit", "--all", "--yes"], "say how"),
    (&["dlq", "edit", "--all", "--yes", "--set", "click"], "FIELD=VALUE"),
    (&["dlq", "edit", "--all", "--yes", "--rename", "=x"], "OLD=NEW"),
    (&["dlq", "edit", "--all", "--yes", "--cast", "click=float"], "integer or text"),
    (&["dlq", "edit", "--all", "--yes", "--set", "click=1", "--no-retry"], "requires ids"),
    (&["dlq", "edit", "--all", "--yes", "--undo"], "require ids"),
    (&["dlq", "edit", "--all", "--undo", "--dry-run"], "require ids"),
    (&["dlq", "edit", "x", "y", "--payload", "events.ndjson"], "of one error"),
    (&["dlq", "discard", "--all", "--yes", "--reason", ""], "reason"),
    (&["dlq", "discard", "--all", "--yes"], "--reason"),
    (&["dlq", "undo"], "say which"),
    (&["dlq", "export", "--until", "soon"], "is not a time"),
    (&["dlq", "import"], "FILE"),
    (&["dlq", "jobs", "--limit", "few"], "--limit"),
    (&["dlq", "cancel"], "JOB"),
    (&["dlq", "check", "--softly"], "--softly"),
    (&["dlq", "stats", "--loudly"], "--loudly"),
];

#[test]
fn wrong_usage_ends_with_2_in_every_command() {
    let folder = Folder::new();
    folder.generate("events.ndjson", &["--rows", "300", "--seed", "1", "--bad", "0.2"]);
    folder.run(&["ingest", "--wait", "events.ndjson"]);
    let mut others = Vec::new();
    for (arguments, word) in WRONG {
        let output = folder.adpipe(arguments).output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.code() != Some(2) || !words.contains(word) || words.contains("panicked") {
            others.push(format!("adpipe {}: {}", arguments.join(" "), shown(&output)));
        }
    }
    assert!(others.is_empty(), "{}", others.join("\n"));
    assert_eq!(folder.account()["records"], 300, "nothing was done");
}

/// Every command that there is, by its help.
fn commands(path: &[String], found: &mut Vec<Vec<String>>) {
    let output = Command::new(ADPIPE).args(path).arg("--help").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let Some((_, below)) = help.split_once("\nCommands:\n") else {
        found.push(path.to_vec());
        return;
    };
    let names = below.lines().take_while(|line| !line.is_empty());
    let names = names.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    for name in names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help") {
        commands(&[path, &[name.to_owned()]].concat(), found);
    }
}

#[test]
fn no_command_takes_an_unknown_flag_or_a_wrong_configuration() {
    let folder = Folder::new();
    let mut all = Vec::new();
    commands(&[], &mut all);
    assert!(all.len() > 40, "{all:?}");
    // `sql` takes any word as its statement: `-1` begins with a hyphen, too.
    for path in all.iter().filter(|path| path[0] != "sql") {
        let output = Command::new(ADPIPE).args(path).arg("--no-such-flag").output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{path:?}: {}", shown(&output));
        let is_listed = WRONG.iter().any(|(arguments, _)| arguments[0] == path[0]);
        assert!(is_listed || path[0] == "up", "{path:?} is not in the list of this test");
    }
    for (file, text) in [("adpipe.toml", "[console]\nport = \"x\"\n"), ("adpipe.toml", "[consol]\n")] {
        std::fs::write(folder.join(file), text).unwrap();
        for arguments in
            [&["up"][..], &["sql", "select 1"], &["verify"], &["etl"], &["dlq", "stats"], &["config", "show"]]
        {
            assert!(folder.fail(2, arguments).contains("adpipe.toml:"), "{arguments:?}");
        }
    }
    for text in ["[consol]\n", "[log]\nurl = \"pigeon:coop\"\n", "[warehouse]\nurl = \"mysql://x\"\n"] {
        std::fs::write(folder.join("adpipe.toml"), text).unwrap();
        for command in ["doctor", "up"] {
            let output = Command::new(ADPIPE).arg(command).current_dir(folder.path()).output().unwrap();
            assert_eq!(output.status.code(), Some(2), "{command} {text}: {}", shown(&output));
        }
    }
}
