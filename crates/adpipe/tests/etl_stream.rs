//! `adpipe etl` and what comes by stream: closed hours, and both at once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;
#[path = "common/raw_files.rs"]
mod raw_files;

use std::process::Stdio;

use adpipe_testkit::eventually;
use common::{Running, shown};
use raw_files::{Etl, csv, outcome};
use serde_json::Value;

#[test]
fn what_came_by_stream_is_archived_and_leaves_the_hot_window() {
    let etl = Etl::new();
    let account = etl.folder.generate(
        "events.csv",
        &[
            "--rows",
            "30000",
            "--start",
            "2014-10-21",
            "--end",
            "2014-10-25",
            "--format",
            "csv",
            "--seed",
            "3",
        ],
    );
    etl.folder.run(&["ingest", "--wait", "events.csv"]);
    let report = etl.run(0, &[]);
    assert_eq!(report["archive"]["from_stream"], account["valid"]);
    let left = report["hot"]["out"].as_u64().unwrap();
    assert!(left > 20_000 && left < 23_500, "three of four days: {left}");
    let hot = etl.row("select count(*) as n, min(event_hour) as first from realtime.events");
    assert_eq!(
        (&hot["n"], hot["first"].as_str().unwrap() >= "2014-10-23 23"),
        (&(30_000 - left).into(), true)
    );
    etl.verify();

    // Again by stream and by file: nothing is new.
    etl.folder.run(&["ingest", "--wait", "events.csv"]);
    assert_eq!(etl.row("select sum(duplicates) as n from realtime.commits")["n"], 30_000);
    etl.write("events.csv", std::fs::read(etl.folder.join("events.csv")).unwrap());
    assert_eq!(outcome(&etl.run(0, &[]), "events.csv"), ("done", 30_000, 0, 30_000, 0));
    // A late one of an hour that is archived and gone: counted once, archived at the next run.
    std::fs::write(etl.folder.join("late.csv"), csv([1])).unwrap();
    for duplicates in [30_000, 30_001] {
        etl.folder.run(&["ingest", "--wait", "late.csv"]);
        assert_eq!(etl.row("select sum(duplicates) as n from realtime.commits")["n"], duplicates);
    }
    etl.verify();
    let report = etl.run(0, &[]);
    assert_eq!((&report["archive"]["from_stream"], &report["hot"]["out"]), (&1.into(), &1.into()));
    etl.folder.run(&["ingest", "--wait", "late.csv"]);
    assert_eq!(etl.row("select sum(duplicates) as n from realtime.commits")["n"], 30_002);
    etl.verify();
}

#[test]
fn file_and_stream_at_once_count_each_event_once() {
    /// Which of them is faster depends on the machine, so they may miss each other.
    const ROUNDS: u64 = 5;
    let have_met = (0..ROUNDS).any(|seed| {
        let (streamed, from_file) = file_and_stream_at_once(seed);
        println!("{streamed} streamed, {from_file} from the file");
        streamed > 0 && from_file > 0
    });
    assert!(have_met, "they never met");
}

/// Sends the same events by stream and, from the last to the first, by file. How many events each
/// of the two brought in first.
fn file_and_stream_at_once(seed: u64) -> (u64, u64) {
    const EVENTS: u64 = 200_000;
    let etl = Etl::new();
    let (rows, seed) = (EVENTS.to_string(), seed.to_string());
    let day = ["--start", "2014-10-21", "--end", "2014-10-22", "--format", "csv"];
    let how = ["--rows", &rows, "--seed", &seed];
    etl.folder.generate("events.csv", &[&day[..], &how].concat());
    let text = std::fs::read_to_string(etl.folder.join("events.csv")).unwrap();
    let (header, rows) = text.split_once('\n').unwrap();
    let backwards: Vec<&str> = std::iter::once(header).chain(rows.lines().rev()).collect();
    std::fs::write(etl.folder.join("data/raw/events.csv"), backwards.join("\n")).unwrap();

    let mut up = etl.folder.adpipe(&["up"]);
    up.env("ADPIPE_STREAM__BATCH_RECORDS", "1000");
    let up = Running::start(up);
    let mut ingest = etl.folder.adpipe(&["ingest", "events.csv"]).stdout(Stdio::null()).spawn().unwrap();
    // Small segments, so that the two meet however fast each of them is.
    let mut batch = etl.folder.adpipe(&["etl", "--json"]);
    let output = batch.env("ADPIPE_ETL__SEGMENT_ROWS", "5000").output().unwrap();
    assert!(output.status.success(), "{}", shown(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(ingest.wait().unwrap().success());
    eventually("all of the log is counted", || {
        etl.row("select coalesce(sum(records), 0) as n from realtime.commits")["n"] == EVENTS
    });
    let streamed = etl.row("select sum(valid) as n from realtime.commits")["n"].as_u64().unwrap();
    let from_file = report["this_run"]["valid"].as_u64().unwrap();
    assert_eq!(streamed + from_file, EVENTS);
    drop(up);
    etl.verify();
    (streamed, from_file)
}
