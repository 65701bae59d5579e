//! `adpipe etl` killed at any instant, and next to the stream, on both warehouses.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;
#[path = "common/pipeline.rs"]
mod pipeline;

use std::process::{Command, Stdio};

use adpipe_testkit::eventually;
use adpipe_testkit::postgres::Postgres;
use common::shown;
use pipeline::{Pipeline, kills};
use serde_json::Value;

#[test]
fn killed_at_any_instant_it_ends_in_the_same_state() {
    kills(None, None, 20_000, 5);
}

#[test]
fn killed_at_any_instant_it_ends_in_the_same_state_on_postgres() {
    let Some(server) = Postgres::start("etl_kills_on_postgres") else { return };
    kills(Some(&server), None, 6_000, 5);
}

/// The same events by a file and by the stream, while both work; and twice.
fn file_and_stream(warehouse: Option<String>, rows: u64) {
    let pipeline = Pipeline::new(warehouse);
    let rows_text = rows.to_string();
    pipeline.folder.generate(
        "data/raw/events.csv",
        &["--rows", &rows_text, "--start", "2014-10-21", "--end", "2014-10-21T06:00:00", "--format", "csv"],
    );
    pipeline.make_tables();
    let mut up = pipeline.adpipe(&["up"]);
    up.env("ADPIPE_STREAM__BATCH_RECORDS", "2000").stdout(Stdio::null()).stderr(Stdio::null());
    let mut up = up.spawn().unwrap();
    let mut ingest =
        pipeline.adpipe(&["ingest", "data/raw/events.csv"]).stdout(Stdio::null()).spawn().unwrap();
    eventually("the stream works", || pipeline.number("select count(*) from realtime.commits") > 2);
    pipeline.run(&["etl"]);
    assert!(ingest.wait().unwrap().success());
    eventually("all of the log is counted", || {
        pipeline.number("select coalesce(sum(records), 0) from realtime.commits") == rows
    });
    pipeline.run(&["etl", "--force"]);
    let streamed = pipeline.number("select sum(valid) from realtime.commits");
    let from_file = pipeline.number("select sum(valid) from realtime.files");
    println!("{streamed} streamed, {from_file} from the file");
    assert_eq!(streamed + from_file, rows);
    assert!(
        streamed > 0 && from_file > 0,
        "{streamed} streamed, {from_file} from the file: they did not meet"
    );
    up.kill().unwrap();
    up.wait().unwrap();
    pipeline.verify(0);
}

#[test]
fn file_and_stream_at_once_count_each_event_once_on_postgres() {
    let Some(server) = Postgres::shared("etl_file_and_stream_on_postgres") else { return };
    file_and_stream(Some(server.new_database()), 100_000);
}

#[test]
fn days_leave_postgres_once_the_archive_has_them() {
    let Some(server) = Postgres::shared("etl_days_leave_postgres") else { return };
    let pipeline = Pipeline::new(Some(server.new_database()));
    pipeline.folder.generate(
        "events.csv",
        &[
            "--rows",
            "20000",
            "--start",
            "2014-10-10",
            "--end",
            "2014-10-21",
            "--format",
            "csv",
            "--seed",
            "3",
        ],
    );
    pipeline.run(&["ingest", "--wait", "events.csv"]);
    let report: Value = serde_json::from_str(&pipeline.run(&["etl", "--json"])).unwrap();
    assert_eq!(report["archive"]["from_stream"], 20_000);
    let days = "select count(*) from pg_inherits where inhparent = 'realtime.events'::regclass";
    // Seven days are kept, and what is left of the eighth; today's and tomorrow's are made ahead.
    assert_eq!(pipeline.number(days), 10);
    assert!(report["hot"]["out"].as_u64().unwrap() > 4_000, "{report}");
    pipeline.verify(0);
    pipeline.run(&["ingest", "--wait", "events.csv"]);
    assert_eq!(pipeline.number("select sum(duplicates) from realtime.commits"), 20_000);
    assert_eq!(pipeline.number(days), 10, "no day was made anew for duplicates");
    pipeline.verify(0);
}

#[test]
fn stopped_by_a_signal_it_goes_on_at_the_next_run() {
    let pipeline = Pipeline::new(None);
    pipeline.folder.generate(
        "data/raw/events.csv",
        &["--rows", "300000", "--start", "2014-10-01", "--end", "2014-10-21", "--format", "csv"],
    );
    pipeline.make_tables();
    let child =
        pipeline.adpipe(&["etl", "--json"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    eventually("something is committed", || {
        pipeline.number("select count(*) from realtime.archive_parts") > 0
    });
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", shown(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let taken = report["this_run"]["rows"].as_u64().unwrap();
    assert!(report["files"][0]["state"] == "stopped" && taken > 0 && taken < 300_000, "{report}");
    pipeline.verify(0);
    let report: Value = serde_json::from_str(&pipeline.run(&["etl", "--json"])).unwrap();
    assert_eq!(report["files"][0]["because"], "went on");
    assert_eq!(report["this_run"]["rows"], 300_000 - taken);
    assert_eq!(report["files"][0]["total"]["valid"], 300_000);
    pipeline.verify(0);
}
