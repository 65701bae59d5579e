//! The table of errors in EVENTS.md: each example gives the type and the message next to it.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::common::Folder;
use crate::fences;

/// What stands in the table for a record that is not JSON.
const SHORT_ROW: &str = "a CSV row of 3 cells";

struct Row {
    error_type: String,
    example: String,
    message: String,
}

/// Rows that have an example.
fn rows(text: &str) -> Vec<Row> {
    let (_, table) = text.split_once("\n## Errors\n").unwrap();
    let table = table.split("\n## ").next().unwrap();
    let mut error_type = String::new();
    let mut rows = Vec::new();
    for line in table.lines().filter(|line| line.starts_with('|')).skip(2) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        if !cells[0].is_empty() {
            error_type = cells[0].trim_matches('`').to_owned();
        }
        if !cells[2].is_empty() {
            let bare = |cell: &str| cell.trim_matches('`').to_owned();
            rows.push(Row {
                error_type: error_type.clone(),
                example: bare(cells[2]),
                message: bare(cells[3]),
            });
        }
    }
    rows
}

/// The record of an example: whole, or a field of it in the event that the document shows.
fn record(example: &str, event: &str) -> String {
    if example == SHORT_ROW {
        let event: Value = serde_json::from_str(event).unwrap();
        let names: Vec<&str> = event.as_object().unwrap().keys().map(String::as_str).collect();
        return format!("{}\na,b,c\n", names.join(","));
    }
    if !example.starts_with('"') {
        return example.to_owned();
    }
    let (mut event, field): (Value, Value) =
        (serde_json::from_str(event).unwrap(), serde_json::from_str(&format!("{{{example}}}")).unwrap());
    for (name, value) in field.as_object().unwrap() {
        event[name] = value.clone();
    }
    event.to_string()
}

#[test]
fn every_example_of_an_error_gives_the_message_beside_it() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/EVENTS.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let event = &fences::of(&text, &path)[0].text;
    let rows = rows(&text);
    assert!(rows.len() >= 7, "{}", rows.len());
    for row in rows {
        let folder = Folder::new();
        let record = record(&row.example, event);
        let format = if row.example == SHORT_ROW { "csv" } else { "ndjson" };
        let mut command = folder.adpipe(&["ingest", "--wait", "--format", format, "-"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(record.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success(), "{record}");
        let listed: Value = serde_json::from_str(folder.run(&["dlq", "list", "--json"]).trim()).unwrap();
        assert_eq!(listed["error_type"], row.error_type.as_str(), "{}: {listed}", row.example);
        assert_eq!(listed["message"], row.message.as_str(), "{}: {listed}", row.example);
    }
}
