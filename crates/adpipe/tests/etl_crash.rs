//! `adpipe etl` killed at any instant, and beside the stream, on both warehouses.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use adpipe_batch::Archive;
use adpipe_log::{EventLog, Offset, Topic, header};
use adpipe_testkit::postgres::Postgres;
use common::{ADPIPE, Dice, Folder, eventually, shown};
use serde_json::Value;

/// A pipeline on some warehouse; log, raw files and archive are in the folder.
struct Pipeline {
    folder: Folder,
    warehouse: Option<String>,
}

impl Pipeline {
    fn new(warehouse: Option<String>) -> Pipeline {
        let folder = Folder::new();
        std::fs::create_dir_all(folder.join("data/raw")).unwrap();
        Pipeline { folder, warehouse }
    }

    fn adpipe(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(ADPIPE);
        command.current_dir(self.folder.path()).args(arguments).env_remove("RUST_LOG");
        command.env("ADPIPE_CONSOLE__PORT", "0").env("ADPIPE_ETL__SEGMENT_ROWS", "5000");
        if let Some(url) = &self.warehouse {
            command.env("ADPIPE_WAREHOUSE__URL", url);
        }
        command
    }

    fn run(&self, arguments: &[&str]) -> String {
        let output = self.adpipe(arguments).output().unwrap();
        assert!(output.status.success(), "adpipe {arguments:?}: {}", shown(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    fn query(&self, sql: &str) -> Value {
        serde_json::from_str(&self.run(&["sql", "--json", sql])).unwrap()
    }

    fn number(&self, sql: &str) -> u64 {
        let rows = self.query(sql);
        let value = rows[0].as_object().unwrap().values().next().unwrap().clone();
        // A sum of PostgreSQL's is a decimal number.
        value.as_u64().or_else(|| value.as_f64().map(|number| number as u64)).unwrap_or(0)
    }

    /// All that a run leaves behind and that must not depend on how often it was killed.
    fn end_state(&self) -> EndState {
        let archive = Archive::new(&self.folder.join("data/processed"));
        let named = self.query("select path from realtime.archive_parts order by path");
        let named: BTreeSet<String> =
            named.as_array().unwrap().iter().map(|row| row["path"].as_str().unwrap().to_owned()).collect();
        let mut events = Vec::new();
        for path in &named {
            let read = archive.events(path, None, |batch| {
                assert!(batch.event_times().is_sorted(), "{path} is not sorted by time");
                for event in batch.iter() {
                    let mut line = Vec::new();
                    event.write_csv(&mut line);
                    assert_eq!(
                        path.split('/').next().unwrap(),
                        format!("event_date={}", &event.event_time.to_string()[..10])
                    );
                    events.push(String::from_utf8(line).unwrap());
                }
            });
            read.unwrap();
        }
        events.sort_unstable();
        let tables = [
            "select * from realtime.metrics order by 1, 2, 3, 4, 5, 6",
            "select * from realtime.metrics_hourly order by 1, 2, 3, 4, 5, 6",
            "select event_hour, archived_rows, archived_clicks, hot_copies from realtime.hours order by 1",
            "select event_hour, event_id, event_time, click, site_id, c21 from realtime.events order by 1, 2",
            "select path, content, reading, state, position, next_row, records, valid, clicks, duplicates, parse,
                    schema, validation, future, float_ids, first_event, last_event
             from realtime.files order by 1",
            "select path, content, reading, state, records, valid, clicks, duplicates, invalid
             from ops.ingest_files order by 1",
        ];
        EndState {
            events,
            tables: tables.map(|sql| self.query(sql).to_string()),
            errors: self.errors(),
            strays: self.files_of_archive().difference(&named).cloned().collect(),
        }
    }

    fn files_of_archive(&self) -> BTreeSet<String> {
        let root = self.folder.join("data/processed");
        let mut found = BTreeSet::new();
        for date in std::fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()) {
            if date.is_dir() {
                let files = std::fs::read_dir(&date).unwrap().map(|entry| entry.unwrap().path());
                found.extend(
                    files.map(|file: PathBuf| file.strip_prefix(&root).unwrap().display().to_string()),
                );
            }
        }
        found
    }

    fn errors(&self) -> BTreeSet<(String, String, Vec<u8>)> {
        let log = adpipe_log::sqlite::SqliteLog::open(&self.folder.join("data")).unwrap();
        let mut errors = BTreeSet::new();
        let mut next = Offset(0);
        loop {
            let batches = log.read(Topic::Error, 0, next, 4 << 20).unwrap();
            let Some(last) = batches.last() else { return errors };
            next = last.next_offset();
            for record in batches.iter().flat_map(|batch| batch.iter()) {
                let text = |name| record.headers.text(name).unwrap().to_owned();
                errors.insert((
                    text(header::ERROR_TOPIC),
                    text(header::ERROR_OFFSET),
                    record.payload.to_vec(),
                ));
            }
        }
    }

    fn verify(&self, seed: u64) {
        let verdict = self.run(&["verify"]);
        assert!(verdict.contains("zero residue"), "seed {seed}: {verdict}");
    }
}

#[derive(PartialEq)]
struct EndState {
    events: Vec<String>,
    tables: [String; 6],
    errors: BTreeSet<(String, String, Vec<u8>)>,
    strays: BTreeSet<String>,
}

/// Ten files that share some of their rows; gives how many records they have.
fn ten_files(pipeline: &Pipeline, rows: u32) {
    for number in 0..10 {
        let (seed, rows) = ((number % 7).to_string(), rows.to_string());
        let (format, end) = if number % 2 == 0 { ("csv", "2014-10-23") } else { ("ndjson", "2014-10-22") };
        let arguments = [
            "--rows",
            &rows,
            "--seed",
            &seed,
            "--bad",
            "0.01",
            "--duplicates",
            "0.02",
            "--start",
            "2014-10-21",
            "--end",
            end,
            "--format",
            format,
        ];
        pipeline.folder.generate(&format!("data/raw/{number}.{format}"), &arguments);
    }
}

/// Kills `adpipe etl`, and the server when there is one, until a run comes to its end.
fn kills(server: Option<&Postgres>, rows: u32, wanted_kills: u32) {
    let warehouse = || server.map(Postgres::new_database);
    let seed = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    println!("seed {seed}");
    let mut dice = Dice(seed);
    let undisturbed = Pipeline::new(warehouse());
    ten_files(&undisturbed, rows);
    undisturbed.run(&["etl"]);
    let expected = undisturbed.end_state();
    assert!(expected.strays.is_empty() && expected.errors.len() > 100);

    let disturbed = Pipeline::new(warehouse());
    let raw = disturbed.folder.join("data");
    let copied = Command::new("cp").arg("-rp").arg(undisturbed.folder.join("data/raw")).arg(raw).status();
    assert!(copied.unwrap().success());
    // Killed after a few milliseconds, later ones given more time, until a run comes to its end.
    let (mut kills, mut server_kills) = (0, 0);
    loop {
        let mut child =
            disturbed.adpipe(&["etl"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(dice.below(60 + u64::from(kills) * 5)));
        if let Some(status) = child.try_wait().unwrap() {
            // A run that meets a server that is away may end with a message.
            if status.success() {
                break;
            }
            assert!(server_kills > 0, "seed {seed}: {status}");
            continue;
        }
        kills += 1;
        match server {
            Some(server) if server_kills < 10 && dice.below(3) == 0 => {
                server_kills += 1;
                server.kill();
                server.start_again();
                // It goes on by itself, or ends with a message.
                child.wait().unwrap();
            }
            _ => {
                child.kill().unwrap();
                child.wait().unwrap();
            }
        }
    }
    println!("{kills} kills, {server_kills} of the server");
    assert!(kills >= wanted_kills, "seed {seed}: only {kills} kills met a run");
    disturbed.run(&["etl"]);
    let found = disturbed.end_state();
    assert_eq!(found.events.len(), expected.events.len(), "seed {seed}");
    assert!(found.events == expected.events, "seed {seed}: other events");
    for (found, expected) in found.tables.iter().zip(&expected.tables) {
        assert_eq!(found, expected, "seed {seed}");
    }
    assert!(found.errors == expected.errors, "seed {seed}: other errors");
    assert!(found.strays.is_empty(), "seed {seed}: {:?}", found.strays);
    disturbed.verify(seed);
}

#[test]
fn killed_at_any_instant_it_ends_in_the_same_state() {
    kills(None, 20_000, 5);
}

#[test]
fn killed_at_any_instant_it_ends_in_the_same_state_on_postgres() {
    let Some(server) = Postgres::start("etl_kills_on_postgres") else { return };
    kills(Some(&server), 6_000, 5);
}

/// The same events by a file and by the stream, while both work; and twice.
fn file_and_stream(warehouse: Option<String>, rows: u64) {
    let pipeline = Pipeline::new(warehouse);
    let rows_text = rows.to_string();
    pipeline.folder.generate(
        "data/raw/events.csv",
        &["--rows", &rows_text, "--start", "2014-10-21", "--end", "2014-10-21T06:00:00", "--format", "csv"],
    );
    // Makes the tables.
    pipeline.run(&["etl", "--dry-run"]);
    let mut up = pipeline.adpipe(&["up"]);
    up.env("ADPIPE_STREAM__BATCH_RECORDS", "2000").stdout(Stdio::null()).stderr(Stdio::null());
    let mut up = up.spawn().unwrap();
    let mut ingest =
        pipeline.adpipe(&["ingest", "data/raw/events.csv"]).stdout(Stdio::null()).spawn().unwrap();
    eventually("the stream works", Duration::from_secs(30), || {
        pipeline.number("select count(*) from realtime.commits") > 2
    });
    pipeline.run(&["etl"]);
    assert!(ingest.wait().unwrap().success());
    eventually("all of the log is counted", Duration::from_secs(60), || {
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
    pipeline.run(&["etl", "--dry-run"]);
    let child =
        pipeline.adpipe(&["etl", "--json"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    eventually("something is committed", Duration::from_secs(60), || {
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
