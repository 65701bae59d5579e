//! What `ingest` and `etl` say of invalid records, and how many they may take.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;
#[path = "common/raw_files.rs"]
mod raw_files;

use common::{Folder, shown};
use raw_files::{Etl, HEADER, outcome, row};
use serde_json::Value;

/// CSV rows under their header; those named have a click of 7.
fn rows(rows: std::ops::Range<u32>, invalid: &[u32]) -> String {
    let lines: Vec<String> = rows
        .map(|id| {
            if invalid.contains(&id) {
                row(&id.to_string()).replacen(",1,", ",7,", 1)
            } else {
                row(&id.to_string())
            }
        })
        .collect();
    format!("{HEADER}\n{}\n", lines.join("\n"))
}

fn ingest(folder: &Folder, code: i32, arguments: &[&str]) -> (Value, String) {
    let all: Vec<&str> = ["ingest", "--json"].iter().chain(arguments).copied().collect();
    let output = folder.adpipe(&all).output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{}", shown(&output));
    (serde_json::from_slice(&output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn errors_of_ingest_know_file_and_row() {
    let folder = Folder::new();
    std::fs::write(folder.join("a.csv"), rows(1..2_000, &[3, 1_999])).unwrap();
    std::fs::write(folder.join("b.ndjson"), "\n{\"id\":\"1\"}\n\nnot json\n").unwrap();
    let long = format!("[{{\"id\":\"{}\"}},{{}}]", "9".repeat(1_100_000));
    std::fs::write(folder.join("c.json"), long).unwrap();
    let (report, notes) = ingest(&folder, 0, &["--wait", "a.csv", "b.ndjson", "c.json"]);
    assert_eq!((report["invalid"].as_u64(), report["checked"].is_null()), (Some(6), true), "{report}");
    assert!(!notes.contains("a.csv:"), "{notes}");
    let expected = [
        ("a.csv", "4"),
        ("a.csv", "2000"),
        ("b.ndjson", "2"),
        ("b.ndjson", "4"),
        ("c.json", "1"),
        ("c.json", "2"),
    ];
    let mut found: Vec<(String, String)> = Vec::new();
    for line in folder.run(&["dlq", "list", "--json"]).lines() {
        let error: Value = serde_json::from_str(line).unwrap();
        let id = error["error_id"].as_str().unwrap();
        let story: Value = serde_json::from_str(&folder.run(&["dlq", "show", "--json", id])).unwrap();
        let headers = story["headers"].as_array().unwrap();
        let header = |name: &str| {
            let pair = headers.iter().find(|pair| pair[0] == name).expect(name);
            pair[1].as_str().unwrap().to_owned()
        };
        found.push((header("adpipe-source"), header("adpipe-row")));
        let (file, row) = found.last().unwrap().clone();
        assert!(folder.run(&["dlq", "show", id]).contains(&format!("file          {file} row {row}")));
    }
    found.sort();
    let mut expected: Vec<(String, String)> =
        expected.iter().map(|(file, row)| ((*file).to_owned(), (*row).to_owned())).collect();
    expected.sort();
    assert_eq!(found, expected);
}

#[test]
fn with_a_limit_the_first_errors_are_named_at_once() {
    let folder = Folder::new();
    std::fs::write(folder.join("a.csv"), rows(1..2_000, &[3, 4, 5, 1_999])).unwrap();
    std::fs::write(folder.join("b.ndjson"), "\n{\"id\":\"1\"}\n\nnot json\n").unwrap();
    let (report, notes) = ingest(&folder, 0, &["--max-errors", "6", "a.csv", "b.ndjson"]);
    for place in ["a.csv:4: ", "a.csv:5: ", "a.csv:6: ", "a.csv:2000: ", "b.ndjson:2: "] {
        assert!(notes.contains(place), "{place}: {notes}");
    }
    assert!(notes.contains("… and 1 more invalid"), "{notes}");
    let first = &report["checked"]["first"][0];
    assert_eq!((first["file"].as_str(), first["row"].as_u64()), (Some("a.csv"), Some(4)), "{report}");
    assert_eq!(first["type"], "validation");
}

#[test]
fn ingest_ends_before_it_takes_too_many_errors() {
    let folder = Folder::new();
    std::fs::write(folder.join("a.csv"), rows(1..5_000, &[100, 200, 300])).unwrap();
    std::fs::write(folder.join("b.csv"), rows(5_000..6_000, &[])).unwrap();
    // The first error is not taken, and the next file is not begun.
    let (report, notes) = ingest(&folder, 1, &["--wait", "--max-errors", "0", "a.csv", "b.csv"]);
    assert_eq!((report["events"].as_u64(), report["invalid"].as_u64()), (Some(99), Some(0)), "{report}");
    assert_eq!(report["checked"]["stopped_before"]["row"], 101);
    assert!(notes.contains("stopped before a.csv:101: click 7"), "{notes}");
    // The same command continues where it stopped.
    let (report, _) = ingest(&folder, 1, &["--wait", "--max-errors", "2", "a.csv", "b.csv"]);
    assert_eq!((report["events"].as_u64(), report["invalid"].as_u64()), (Some(198), Some(2)), "{report}");
    let (report, _) = ingest(&folder, 0, &["--wait", "--max-errors", "2", "a.csv", "b.csv"]);
    assert_eq!((report["events"].as_u64(), report["invalid"].as_u64()), (Some(5_699), Some(1)), "{report}");
    let account = folder.account();
    assert_eq!((account["valid"].as_u64(), account["duplicates"].as_u64()), (Some(5_996), Some(0)));
}

#[test]
fn a_share_is_judged_over_enough_records_and_at_the_end() {
    let folder = Folder::new();
    let invalid: Vec<u32> = (1..5_000).filter(|id| id % 50 == 1).collect();
    std::fs::write(folder.join("a.csv"), rows(1..5_000, &invalid)).unwrap();
    std::fs::write(folder.join("few.csv"), rows(6_000..6_010, &[6_001, 6_002])).unwrap();
    ingest(&folder, 0, &["--max-errors", "3%", "a.csv"]);
    let (report, notes) = ingest(&folder, 1, &["--max-errors", "10%", "few.csv"]);
    assert_eq!(report["appended"], 10);
    assert!(
        notes.contains("2 of 10 records invalid, more than --max-errors 10%; everything is in the log"),
        "{notes}"
    );
    let other = Folder::new();
    std::fs::write(other.join("a.csv"), rows(1..5_000, &invalid)).unwrap();
    let (report, _) = ingest(&other, 1, &["--max-errors", "1%", "a.csv"]);
    assert!((1_000..1_010).contains(&report["appended"].as_u64().unwrap()), "{report}");
    let words = other.fail(2, &["ingest", "--max-errors", "many", "a.csv"]);
    assert!(words.contains("neither a number like 100 nor a share like 0.5%"), "{words}");
}

#[test]
fn etl_ends_before_it_takes_too_many_errors() {
    let etl = Etl::new();
    // Pieces of a megabyte: what is before the one that goes too far is done.
    etl.write("a.csv", rows(1..60_000, &[10, 59_000, 59_001]));
    etl.write("b.csv", rows(60_000..60_100, &[]));
    let report = etl.run(1, &["--max-errors", "1"]);
    let over = &report["over_limit"];
    assert_eq!((over["file"].as_str(), over["row"].as_u64()), (Some("a.csv"), Some(59_001)), "{over}");
    assert_eq!(over["limit"], "1");
    let (state, rows_read, _, _, invalid) = outcome(&report, "a.csv");
    assert!(state == "stopped" && rows_read > 10_000 && rows_read < 59_000 && invalid == 1, "{report}");
    assert_eq!(report["files"].as_array().unwrap().len(), 1, "{report}");
    // A dry run says it as well, and changes nothing. Each run counts for itself.
    let dry = etl.run(1, &["--dry-run", "--max-errors", "1"]);
    assert_eq!(dry["over_limit"]["row"], 59_002, "{dry}");
    let report = etl.run(0, &["--max-errors", "2"]);
    assert_eq!(report["this_run"]["invalid"], 2);
    assert_eq!(outcome(&report, "b.csv"), ("done", 100, 100, 0, 0));
    assert_eq!(etl.errors().len(), 3);
    etl.verify();
    etl.write("c.csv", rows(70_000..70_010, &[70_001]));
    let words = etl.folder.adpipe(&["etl", "--max-errors", "5%"]).output().unwrap();
    assert_eq!(words.status.code(), Some(1));
    let said = String::from_utf8_lossy(&words.stderr).into_owned();
    assert!(said.contains("1 of 10 rows invalid, more than --max-errors 5%; everything was read"), "{said}");
    assert_eq!(outcome(&etl.run(0, &[]), "c.csv").0, "unchanged");
    etl.verify();
}
