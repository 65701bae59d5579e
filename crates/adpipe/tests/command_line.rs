//! The command line as a user meets it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use adpipe_testkit::{assert_in_time, eventually};
use common::{ADPIPE, Folder, Running, shown};

#[test]
fn a_wrong_configuration_is_refused_with_its_place() {
    let folder = Folder::new();
    std::fs::write(folder.join("adpipe.toml"), "[console]\nport = \"x\"\n").unwrap();
    let words = folder.fail(2, &["up"]);
    assert!(words.contains("adpipe.toml:2:8"), "{words}");
    std::fs::write(folder.join("adpipe.toml"), "[log]\nurl = \"carrier-pigeon:coop\"\n").unwrap();
    let output = Command::new(ADPIPE).arg("up").current_dir(folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", shown(&output));
    assert!(shown(&output).contains("log.url"), "{}", shown(&output));
}

#[test]
fn every_command_helps_with_an_example() {
    for command in ["demo", "up", "ingest", "generate", "sql", "verify", "bench", "completions", "man"] {
        let output = Command::new(ADPIPE).args([command, "--help"]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains("Example"), "{command}: {text}");
    }
    for arguments in [&["completions", "bash"][..], &["completions", "zsh"], &["man"]] {
        let output = Command::new(ADPIPE).args(arguments).output().unwrap();
        assert!(output.status.success() && output.stdout.len() > 500, "{arguments:?}");
    }
}

#[test]
fn sql_reads_and_never_writes() {
    let folder = Folder::new();
    assert!(folder.fail(1, &["sql", "select 1"]).contains("adpipe demo"), "no data yet");
    folder.generate("events.csv", &["--rows", "100", "--format", "csv"]);
    folder.run(&["ingest", "--wait", "events.csv"]);
    assert_eq!(folder.row("select count(*) as n from realtime.events")["n"], 100);
    assert!(folder.run(&["sql", "--format", "csv", "select 1 as a, 'x,y' as b"]).contains("a,b\n1,\"x,y\""));
    for statement in [
        "delete from realtime.events",
        "drop table realtime.events",
        "attach 'x.db' as x",
        "pragma realtime.journal_mode = delete",
        "vacuum",
    ] {
        let words = folder.fail(1, &["sql", statement]);
        assert!(words.contains("only reads"), "{statement}: {words}");
    }
    assert!(folder.fail(1, &["sql", "selekt"]).contains("syntax error"));
    assert_eq!(folder.row("select count(*) as n from realtime.events")["n"], 100);
}

#[test]
fn every_format_and_compression_is_found_out() {
    let folder = Folder::new();
    folder.generate("plain.ndjson", &["--rows", "500", "--seed", "1"]);
    folder.generate("plain.csv", &["--rows", "500", "--seed", "2", "--format", "csv"]);
    for file in ["plain.ndjson", "plain.csv"] {
        assert!(
            Command::new("gzip").args(["-k", file]).current_dir(folder.path()).status().unwrap().success()
        );
    }
    let lines = std::fs::read_to_string(folder.join("plain.ndjson")).unwrap();
    let array = format!("[{}]", lines.trim_end().replace('\n', ",\n"));
    std::fs::write(folder.join("array.json"), array).unwrap();
    let windows = std::fs::read_to_string(folder.join("plain.csv")).unwrap().replace('\n', "\r\n");
    std::fs::write(folder.join("windows.csv"), format!("\u{feff}{windows}")).unwrap();

    folder.run(&["ingest", "--wait", "plain.ndjson.gz", "plain.csv.gz"]);
    let account = folder.account();
    assert_eq!((account["valid"].as_u64(), account["parse"].as_u64()), (Some(1_000), Some(0)));
    folder.run(&["ingest", "--wait", "plain.ndjson", "plain.csv", "array.json", "windows.csv"]);
    let account = folder.account();
    assert_eq!((account["valid"].as_u64(), account["duplicates"].as_u64()), (Some(1_000), Some(2_000)));
}

#[test]
fn standard_input_counts_while_it_flows() {
    let folder = Folder::new();
    folder.generate("events.ndjson", &["--rows", "100"]);
    let events = std::fs::read(folder.join("events.ndjson")).unwrap();
    let _up = Running::start(folder.adpipe(&["up"]));
    let mut ingest = folder.adpipe(&["ingest", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = ingest.stdin.take().unwrap();
    stdin.write_all(&events).unwrap();
    stdin.flush().unwrap();
    // The input stays open, and its events are counted anyway.
    eventually("the events are counted", || folder.account()["valid"] == 100);
    drop(stdin);
    assert!(ingest.wait().unwrap().success());
}

#[test]
fn inputs_that_cannot_be_used_are_named() {
    let folder = Folder::new();
    assert!(folder.fail(1, &["ingest", "missing.csv"]).contains("missing.csv"));
    std::fs::create_dir(folder.join("folder")).unwrap();
    assert!(folder.fail(2, &["ingest", "folder"]).contains("is a folder"));
    std::fs::write(folder.join("header.csv"), "id,click\n1,0\n").unwrap();
    let words = folder.fail(1, &["ingest", "header.csv"]);
    assert!(words.contains("header.csv") && words.contains("banner_pos"), "{words}");
    folder.generate("cut.csv", &["--rows", "20000", "--format", "csv"]);
    assert!(Command::new("gzip").arg("cut.csv").current_dir(folder.path()).status().unwrap().success());
    let whole = std::fs::read(folder.join("cut.csv.gz")).unwrap();
    std::fs::write(folder.join("cut.csv.gz"), &whole[..whole.len() / 2]).unwrap();
    let words = folder.fail(1, &["ingest", "cut.csv.gz"]);
    assert!(words.contains("cut.csv.gz") && words.contains("after record"), "{words}");
    assert!(folder.fail(2, &["ingest"]).contains("FILE"));
}

#[test]
fn demo_works_twice_and_ends_at_once() {
    let folder = Folder::new();
    let mut before = 0;
    for _ in 0..2 {
        let demo = folder.adpipe(&["demo", "--days", "1", "--events-a-day", "5000", "--rate", "500"]);
        let mut demo = Running::start(demo);
        eventually("live events are counted", || {
            folder.account()["records"].as_u64().unwrap_or(0) > before + 5_000 * u64::from(before == 0) + 500
        });
        let asked = Instant::now();
        demo.signal("INT");
        let status = demo.child.wait().unwrap();
        assert_in_time("the end", asked.elapsed(), Duration::from_secs(2));
        assert!(status.success());
        let verdict = folder.run(&["verify"]);
        assert!(verdict.contains("zero residue"), "{verdict}");
        before = folder.account()["records"].as_u64().unwrap();
    }
}
