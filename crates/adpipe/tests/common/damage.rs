//! A pipeline that has rows in every table, and ways to damage them.

#![allow(dead_code, reason = "each test file uses its part")]

use adpipe_testkit::Dice;
use serde_json::Value;

use crate::common::shown;
use crate::pipeline::Pipeline;

/// Columns that no sum covers, because nothing that is counted depends on them. The last line of
/// `adpipe verify --deep` names them.
pub const HARMLESS: &[(&str, &[&str])] = &[
    ("realtime.events", &["ingested_at"]),
    ("realtime.offsets", &["updated_at"]),
    ("realtime.commits", &["commit_id"]),
    ("realtime.files", &["updated_at"]),
    ("realtime.schema_migrations", &["applied_at"]),
    // Compared in a check of its own, as far as it decides about anything.
    ("realtime.identity", &["data_id", "store_id", "epoch", "how_far", "made_at"]),
    ("realtime.peers", &["store", "store_id", "epoch", "how_far", "seen_at"]),
    ("realtime.accepted", &["accepted_at", "actor", "store", "store_id", "epoch", "note"]),
    ("errors.identity", &["data_id", "store_id", "epoch", "how_far", "made_at"]),
    ("errors.peers", &["store", "store_id", "epoch", "how_far", "seen_at"]),
    ("errors.accepted", &["accepted_at", "actor", "store", "store_id", "epoch", "note"]),
    ("realtime.etl_runs", &["run_id", "started_at", "finished_at"]),
    ("realtime.unreadable_hours", &["event_hour", "reason", "since"]),
    ("realtime.invalid_since", &["topic", "partition", "next_offset"]),
    ("realtime.invalid_offsets", &["committed_at"]),
    ("errors.groups", &["first_seen_at", "last_seen_at"]),
    ("errors.group_hours", &["fingerprint", "hour", "errors"]),
    ("errors.backlog", &["minute", "pending", "retrying", "exhausted", "resolved", "discarded", "arrived"]),
    (
        "errors.jobs",
        &["state", "changed", "skipped", "reached", "lease_until", "leased_by", "message", "finished_at"],
    ),
    ("errors.actions", &["action_id"]),
    ("errors.offsets", &["updated_at"]),
    ("errors.schema_migrations", &["applied_at"]),
];

pub fn is_harmless(table: &str, column: &str) -> bool {
    HARMLESS.iter().any(|(harmless, columns)| *harmless == table && columns.contains(&column))
}

/// Events by stream and by file, hot and archived, in one and in both; errors of every kind of
/// story: repaired, failed again, discarded.
pub fn filled(warehouse: Option<String>) -> Pipeline {
    let pipeline = Pipeline::new(warehouse);
    let folder = &pipeline.folder;
    let old = ["--rows", "1500", "--bad", "0.02", "--start", "2014-10-20", "--end", "2014-10-21"];
    folder.generate("data/raw/one.csv", &[&old[..], &["--seed", "1", "--format", "csv"]].concat());
    pipeline.run(&["etl"]);
    // Late events for hours that are archived, and hours of their own.
    let streamed = ["--rows", "1500", "--bad", "0.04", "--duplicates", "0.05", "--start", "2014-10-20"];
    folder.generate("events.ndjson", &[&streamed[..], &["--end", "2014-10-22", "--seed", "2"]].concat());
    pipeline.run(&["ingest", "--wait", "events.ndjson"]);
    for act in [
        &["list"][..],
        &["edit", "--field", "click", "--set", "click=0", "--yes"],
        &["discard", "--type", "parse", "--reason", "not ours", "--yes"],
        &["retry", "--type", "schema", "--yes"],
    ] {
        // What fails again may be said by the exit code.
        let output = pipeline.adpipe(&[&["dlq"], act].concat()).output().unwrap();
        assert!(matches!(output.status.code(), Some(0 | 1)), "{act:?}: {}", shown(&output));
    }
    pipeline.run(&["etl"]);
    folder.generate(
        "late.ndjson",
        &["--rows", "300", "--start", "2014-10-21", "--end", "2014-10-22", "--seed", "3"],
    );
    pipeline.run(&["ingest", "--wait", "late.ndjson"]);
    pipeline
}

/// What `adpipe verify --deep` says: whether it is content, and all its words.
pub fn verdict(pipeline: &Pipeline) -> (bool, String) {
    let output = pipeline.adpipe(&["verify", "--deep"]).output().unwrap();
    let words = shown(&output);
    assert!(!words.contains("panicked"), "{words}");
    assert!(matches!(output.status.code(), Some(0..=2)), "{words}");
    let is_content = output.status.success();
    assert_eq!(is_content, words.contains("zero residue"), "{words}");
    (is_content, words)
}

/// Whether `verify --deep` told of a damage: by a gap, or by naming a row whose sum is gone as one that
/// it could not check.
pub fn is_told(verdict: &(bool, String)) -> bool {
    !verdict.0 || verdict.1.contains("from before sums were kept")
}

/// Another value of the same kind; several, as a table may refuse one.
pub fn others(value: &Value, dice: &mut Dice) -> Vec<String> {
    match value {
        Value::Null => vec!["1".to_owned(), "'2014-10-21 00:00:00'".to_owned(), "'x'".to_owned()],
        Value::Number(number) => {
            let number = number.as_i64().unwrap();
            let bit = 1_i64 << dice.below(20);
            [number ^ bit, number ^ 1, number + 1, number - 1, number ^ (1 << 40)]
                .map(|other| other.to_string())
                .to_vec()
        }
        Value::String(text) => {
            let at = dice.below(text.chars().count().max(1) as u64) as usize;
            let changed = |to: fn(char) -> char| -> String {
                text.chars().enumerate().map(|(index, c)| if index == at { to(c) } else { c }).collect()
            };
            let quoted = |text: String| format!("'{}'", text.replace('\'', "''"));
            let next = |c: char| char::from_u32(u32::from(c) ^ 1).unwrap_or('x');
            let mut others = vec![quoted(changed(next)), quoted(changed(|_| '7')), quoted(changed(|_| '3'))];
            // Times and ids, where the database itself refuses anything else.
            others.push("'2014-10-21 03:00:00'".to_owned());
            others.push("'0199c0de-0000-7000-8000-000000000001'".to_owned());
            others.extend(
                ["pending", "retrying", "resolved", "stream", "file", "done", "replaced"]
                    .map(|word| format!("'{word}'")),
            );
            others.extend(
                ["applied", "already_counted", "edit", "retry", "discard"].map(|word| format!("'{word}'")),
            );
            others.retain(|other| *other != quoted(text.clone()));
            others
        }
        other => panic!("{other} of a table"),
    }
}
