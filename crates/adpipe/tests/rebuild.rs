//! `adpipe rebuild`: the warehouse again, from archive and log, row by row.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;
#[path = "common/pipeline.rs"]
mod pipeline;
#[path = "common/raw_files.rs"]
mod raw_files;

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use adpipe_testkit::postgres::Postgres;
use adpipe_testkit::{Dice, eventually, seed};
use common::{Killed, Running, shown};
use pipeline::Pipeline;
use serde_json::Value;

/// All that must be as before; of the stream's account the sums, as its commits are merged.
const TABLES: [(&str, &str); 8] = [
    ("metrics", "select * from realtime.metrics order by 1, 2, 3, 4, 5, 6"),
    ("metrics_hourly", "select * from realtime.metrics_hourly order by 1, 2, 3, 4, 5, 6"),
    (
        "commits",
        "select topic, partition, min(first_offset) as first, max(next_offset) as next, sum(records) as records,
                sum(valid) as valid, sum(clicks) as clicks, sum(duplicates) as duplicates, sum(parse) as parse,
                sum(schema) as schema, sum(validation) as validation, sum(future) as future, sum(sink) as sink,
                sum(float_ids) as float_ids, sum(unknown_fields) as unknown_fields
         from realtime.commits group by topic, partition order by topic, partition",
    ),
    ("offsets", "select topic, partition, next_offset from realtime.offsets order by 1, 2"),
    ("files", "select * from realtime.files order by path, content, reading"),
    ("archive_parts", "select * from realtime.archive_parts order by path"),
    ("archive_part_hours", "select * from realtime.archive_part_hours order by event_hour, path"),
    (
        "hours",
        "select event_hour, archived_rows, archived_clicks, hot_copies from realtime.hours order by event_hour",
    ),
];

const EVENTS: &str =
    "select event_hour, event_id, event_time, click, banner_pos, site_id, app_category, c1, c21
    from realtime.events order by 1, 2";

/// Rows of every table, with their names.
fn state(pipeline: &Pipeline) -> Vec<(&'static str, Value)> {
    let events = ("events", EVENTS);
    TABLES.into_iter().chain([events]).map(|(name, sql)| (name, pipeline.query(sql))).collect()
}

fn must_be(found: &[(&'static str, Value)], expected: &[(&'static str, Value)], what: &str) {
    for ((name, found), (_, expected)) in found.iter().zip(expected) {
        let (found, expected) = (found.as_array().unwrap(), expected.as_array().unwrap());
        let differs = found.iter().zip(expected).find(|(found, expected)| found != expected);
        assert!(
            found.len() == expected.len() && differs.is_none(),
            "{what}: {name} has {} rows instead of {}; {differs:?}",
            found.len(),
            expected.len()
        );
    }
}

/// Everything counted that waits in the log.
fn settle(pipeline: &Pipeline) {
    let up = Running::start(pipeline.adpipe(&["up"]));
    eventually("everything is counted", || {
        let verdict = pipeline.adpipe(&["verify", "--json"]).output().unwrap();
        let verdict: Value = serde_json::from_slice(&verdict.stdout).unwrap_or_default();
        let stored =
            "select count(*) from errors.dlq_errors where topic in ('ad_events_raw', 'ad_events_retry')";
        let counted =
            "select coalesce(sum(parse + schema + validation + future + sink), 0) from realtime.commits";
        verdict["waiting"] == 0
            && pipeline.number(stored) + pipeline.number("select count(*) from errors.repeated_failures")
                == pipeline.number(counted)
    });
    up.signal("TERM");
    let mut up = up;
    assert!(up.child.wait().unwrap().success());
}

fn generate(pipeline: &Pipeline, file: &str, seed: &str, rows: &str, format: &str) {
    let arguments = [
        "--rows",
        rows,
        "--seed",
        seed,
        "--bad",
        "0.02",
        "--duplicates",
        "0.03",
        "--start",
        "2014-10-21",
        "--end",
        "2014-10-23",
        "--format",
        format,
    ];
    pipeline.folder.generate(file, &arguments);
}

/// Events by stream and by file, some of them in both, duplicates, errors, repairs, late ones.
fn mixed_load(pipeline: &Pipeline) {
    generate(pipeline, "streamed.ndjson", "1", "12000", "ndjson");
    generate(pipeline, "data/raw/first.csv", "2", "9000", "csv");
    pipeline.run(&["ingest", "--wait", "streamed.ndjson"]);
    pipeline.run(&["etl"]);
    // In both: those that the stream had first, and those that the file had first.
    std::fs::copy(pipeline.folder.join("streamed.ndjson"), pipeline.folder.join("data/raw/again.ndjson"))
        .unwrap();
    pipeline.run(&["ingest", "--wait", "data/raw/first.csv"]);
    settle(pipeline);
    let up = Running::start(pipeline.adpipe(&["up"]));
    pipeline.run(&["dlq", "edit", "--field", "click", "--set", "click=0", "--yes"]);
    drop(up);
    settle(pipeline);
    pipeline.run(&["etl"]);
    // Late ones of hours that are archived.
    generate(pipeline, "late.csv", "3", "3000", "csv");
    pipeline.run(&["ingest", "--wait", "late.csv"]);
}

/// The newest run of `adpipe etl`: it archives what came by stream and reads a file.
fn newest_run(pipeline: &Pipeline) {
    generate(pipeline, "data/raw/newest.ndjson", "4", "4000", "ndjson");
    pipeline.run(&["etl"]);
}

/// And what came by stream since then.
fn since_then(pipeline: &Pipeline) {
    generate(pipeline, "since.ndjson", "5", "5000", "ndjson");
    pipeline.run(&["ingest", "--wait", "since.ndjson"]);
    settle(pipeline);
}

fn remove_warehouse(pipeline: &Pipeline) {
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(pipeline.folder.join(&format!("data/realtime.db{end}")));
    }
}

fn rebuild(pipeline: &Pipeline, code: i32) -> Value {
    let output = pipeline.adpipe(&["rebuild", "--yes", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{}", shown(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Rebuilds, lets the pipeline continue, and compares.
fn must_be_rebuilt(pipeline: &Pipeline, expected: &[(&'static str, Value)], what: &str) -> Value {
    let report = rebuild(pipeline, 0);
    pipeline.verify(0);
    settle(pipeline);
    must_be(&state(pipeline), expected, what);
    // Sums of contents and rows, too.
    let verdict = pipeline.run(&["verify", "--deep"]);
    assert!(verdict.contains("zero residue"), "{what}: {verdict}");
    report
}

fn parts(pipeline: &Pipeline) -> Vec<PathBuf> {
    let mut parts = Vec::new();
    for day in std::fs::read_dir(pipeline.folder.join("data/processed")).unwrap() {
        let day = day.unwrap().path();
        if day.file_name().unwrap().to_str().unwrap().starts_with("event_date=") {
            parts.extend(std::fs::read_dir(day).unwrap().map(|part| part.unwrap().path()));
        }
    }
    parts.sort();
    parts
}

#[test]
fn a_warehouse_that_is_gone_damaged_or_older_is_made_again_row_by_row() {
    let seed = seed();
    let mut dice = Dice(seed);
    let pipeline = Pipeline::new(None);
    mixed_load(&pipeline);
    let older = pipeline.folder.join("older.db");
    // Folded into one file by the end of the last process.
    std::fs::copy(pipeline.folder.join("data/realtime.db"), &older).unwrap();
    newest_run(&pipeline);
    since_then(&pipeline);
    let expected = state(&pipeline);
    let file = pipeline.folder.join("data/realtime.db");

    let dry = pipeline.run(&["rebuild", "--dry-run"]);
    assert!(dry.contains("nothing changed"), "{dry}");
    must_be(&state(&pipeline), &expected, "dry run");

    // Whole: a rebuild changes nothing.
    let report = must_be_rebuilt(&pipeline, &expected, "whole");
    assert_eq!(report["synthesised"], serde_json::json!([]), "{report}");
    assert!(std::path::Path::new(report["kept"].as_str().unwrap_or("?")).file_name().is_some(), "{report}");

    remove_warehouse(&pipeline);
    must_be_rebuilt(&pipeline, &expected, "gone");

    std::fs::write(&file, vec![7; 100_000]).unwrap();
    must_be_rebuilt(&pipeline, &expected, "damaged");

    remove_warehouse(&pipeline);
    std::fs::copy(&older, &file).unwrap();
    must_be_rebuilt(&pipeline, &expected, "older");

    // Killed at any moment, it has changed nothing or is done.
    remove_warehouse(&pipeline);
    std::fs::copy(&older, &file).unwrap();
    let mut kills = 0;
    while kills < 12 {
        let mut child = pipeline.adpipe(&["rebuild"]);
        let mut child = Killed(child.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        // Chance says how far it gets.
        std::thread::sleep(Duration::from_millis(dice.below(250)));
        if child.0.try_wait().unwrap().is_none() {
            kills += 1;
        }
        drop(child);
        assert!(file.exists(), "seed {seed}: after {kills} kills");
    }
    must_be_rebuilt(&pipeline, &expected, "killed");
}

#[test]
fn the_newest_run_need_not_be_in_the_account() {
    let pipeline = Pipeline::new(None);
    mixed_load(&pipeline);
    let saved = pipeline.folder.join("account");
    let account = pipeline.folder.join("data/processed/_adpipe");
    let copy = |from: &PathBuf, to: &PathBuf| {
        let _ = std::fs::remove_dir_all(to);
        let copied = std::process::Command::new("cp").arg("-r").args([from, to]).status().unwrap();
        assert!(copied.success());
    };
    copy(&account, &saved);
    newest_run(&pipeline);
    since_then(&pipeline);
    let expected = state(&pipeline);
    copy(&saved, &account);
    remove_warehouse(&pipeline);
    let report = rebuild(&pipeline, 0);
    assert!(report["log"]["replayed"].as_u64().unwrap() > 1_000, "{report}");
    assert_eq!(report["synthesised"].as_array().unwrap().len(), 1, "the newest file: {report}");
    pipeline.verify(0);
    settle(&pipeline);
    pipeline.verify(0);
    let found = state(&pipeline);
    for ((name, found), (_, expected)) in found.iter().zip(&expected) {
        // A file's own place and a part's time are in the account only.
        if !["files", "archive_parts"].contains(name) {
            must_be(&[(name, found.clone())], &[(name, expected.clone())], "newest run");
        }
    }
    for sql in [
        "select sum(valid) as n from realtime.files",
        "select sum(records) as n from realtime.files",
        "select sum(rows) as n from realtime.archive_parts",
        "select sum(parse + 10 * schema + 100 * validation) as n from realtime.files",
    ] {
        let expected = if sql.contains("archive_parts") {
            expected.iter().find(|(name, _)| *name == "archive_parts").unwrap()
        } else {
            expected.iter().find(|(name, _)| *name == "files").unwrap()
        };
        let column = |row: &Value| match sql {
            sql if sql.contains("valid)") => row["valid"].as_u64().unwrap(),
            sql if sql.contains("records") => row["records"].as_u64().unwrap(),
            sql if sql.contains("rows") => row["rows"].as_u64().unwrap(),
            _ => ["parse", "schema", "validation"]
                .iter()
                .zip([1, 10, 100])
                .map(|(name, factor)| row[*name].as_u64().unwrap() * factor)
                .sum(),
        };
        let wanted: u64 = expected.1.as_array().unwrap().iter().map(column).sum();
        if !sql.contains("parse") {
            assert_eq!(pipeline.number(sql), wanted, "{sql}");
        }
    }
    // The file is read again, and adds nothing.
    let before = pipeline.number("select sum(impressions) from realtime.metrics_hourly");
    pipeline.run(&["etl"]);
    assert_eq!(pipeline.number("select sum(impressions) from realtime.metrics_hourly"), before);
    pipeline.verify(0);
}

#[test]
fn without_an_account_the_figures_are_the_same_and_the_rest_is_filled_in() {
    let pipeline = Pipeline::new(None);
    mixed_load(&pipeline);
    newest_run(&pipeline);
    since_then(&pipeline);
    let expected = state(&pipeline);
    std::fs::remove_dir_all(pipeline.folder.join("data/processed/_adpipe")).unwrap();
    remove_warehouse(&pipeline);
    let report = rebuild(&pipeline, 0);
    assert!(
        report["account_of"].is_null() && !report["synthesised"].as_array().unwrap().is_empty(),
        "{report}"
    );
    pipeline.verify(0);
    settle(&pipeline);
    pipeline.verify(0);
    let found = state(&pipeline);
    for name in ["metrics", "metrics_hourly", "hours", "events"] {
        let of =
            |state: &[(&'static str, Value)]| state.iter().find(|(found, _)| *found == name).unwrap().clone();
        must_be(&[of(&found)], &[of(&expected)], "no account");
    }
    pipeline.run(&["etl"]);
    pipeline.verify(0);
}

#[test]
fn an_event_in_two_parts_counts_once_and_a_damaged_part_is_left_out() {
    let pipeline = Pipeline::new(None);
    mixed_load(&pipeline);
    newest_run(&pipeline);
    let expected = state(&pipeline);
    let all = parts(&pipeline);
    // A leftover of a merge: the same events under another name.
    let twin =
        all[0].with_file_name("part-20991231T000000000-00000000000000000000000000000000-000000.parquet");
    std::fs::copy(&all[0], &twin).unwrap();
    remove_warehouse(&pipeline);
    let report = rebuild(&pipeline, 0);
    assert_eq!(report["archive"]["redundant"].as_array().unwrap().len(), 1, "{report}");
    must_be(&state(&pipeline), &expected, "twin");
    pipeline.verify(0);
    std::fs::remove_file(&twin).unwrap();

    // One bit of a part: what the log still has comes from there, and the rest is missing and named.
    let newest =
        "select path from realtime.archive_parts where source = 'file' order by created_at desc limit 1";
    let newest = pipeline.query(newest)[0]["path"].as_str().unwrap().to_owned();
    let newest = pipeline.folder.join("data/processed").join(newest);
    for (part, is_in_log) in [(&all[0], true), (&newest, false)] {
        let whole = std::fs::read(part).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 4;
        std::fs::write(part, &flipped).unwrap();
        remove_warehouse(&pipeline);
        let report = rebuild(&pipeline, 1);
        let name = part.file_name().unwrap().to_str().unwrap();
        let problems = report["problems"].to_string();
        assert!(problems.contains(name), "{problems}");
        let verdict = pipeline.adpipe(&["verify"]).output().unwrap();
        if is_in_log {
            assert_eq!(verdict.status.code(), Some(0), "{}", shown(&verdict));
            let hourly = |state: &[(&'static str, Value)]| state[1].clone();
            must_be(&[hourly(&state(&pipeline))], &[hourly(&expected)], "from the log");
        } else {
            assert!(problems.contains("neither in the archive nor in the log"), "{problems}");
            assert_eq!(verdict.status.code(), Some(1), "{}", shown(&verdict));
        }
        // It is back.
        std::fs::write(part, &whole).unwrap();
        must_be_rebuilt(&pipeline, &expected, "the part is back");
    }
}

#[test]
fn an_empty_folder_and_a_running_pipeline_are_refused() {
    let pipeline = Pipeline::new(None);
    let output = pipeline.adpipe(&["rebuild"]).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && words.contains("nothing to rebuild from"), "{words}");
    let up = Running::start(pipeline.adpipe(&["up"]));
    let output = pipeline.adpipe(&["rebuild"]).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && words.contains("stop it first"), "{words}");
    drop(up);
}

#[test]
fn postgres_is_made_again_in_one_transaction() {
    let Some(server) = Postgres::shared("postgres_is_made_again_in_one_transaction") else { return };
    let url = server.new_database();
    let database = url.rsplit('/').next().unwrap().to_owned();
    let pipeline = Pipeline::new(Some(url));
    mixed_load(&pipeline);
    newest_run(&pipeline);
    since_then(&pipeline);
    let expected = state(&pipeline);
    let output = pipeline.adpipe(&["rebuild"]).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && words.contains("--yes"), "{words}");
    must_be_rebuilt(&pipeline, &expected, "whole");
    server.psql(
        &database,
        "truncate realtime.events, realtime.metrics, realtime.metrics_hourly, realtime.archive_parts,
                  realtime.archive_part_hours, realtime.hours, realtime.files, realtime.commits, realtime.offsets,
                  realtime.replays, realtime.minutes_floor",
    );
    must_be_rebuilt(&pipeline, &expected, "emptied");
    // Killed in the middle: nothing has changed.
    server.psql(&database, "update realtime.metrics_hourly set impressions = impressions + 1");
    let damaged = pipeline.query("select * from realtime.metrics_hourly order by 1, 2, 3, 4, 5, 6");
    let mut child = pipeline.adpipe(&["rebuild", "--yes"]);
    let mut child = Killed(child.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    // Somewhere in its work.
    std::thread::sleep(Duration::from_millis(150));
    if child.0.try_wait().unwrap().is_none() {
        drop(child);
        let found = pipeline.query("select * from realtime.metrics_hourly order by 1, 2, 3, 4, 5, 6");
        // Its commit may have been on the way.
        assert!(found == damaged || found == expected[1].1, "neither before nor after");
    }
    must_be_rebuilt(&pipeline, &expected, "killed");
}
