//! Damage of the embedded log's file: whatever bit changes, a read gives the records that were
//! written, or an error that says where and what to do. Never fewer records in silence, never a panic.
//!
//! `ADPIPE_TEST_SEED` replays a run.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use std::path::Path;
use std::time::Duration;

use adpipe_log::sqlite::SqliteLog;
use adpipe_log::{EventLog, LogError, Offset, RetentionPolicy, SourcePosition, Topic};
use common::{Seen, append, places, read_partition, records};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

/// Bits flipped one at a time, anywhere in the file.
const FLIPS: usize = 400;

/// What the log held before it was damaged.
struct Whole {
    bytes: Vec<u8>,
    records: Vec<(Topic, u32, Vec<Seen>)>,
}

/// A log with many chunks, a retired beginning, a gap, and an unfinished source.
fn whole(folder: &Path) -> Whole {
    let log = SqliteLog::open(folder).unwrap();
    append(&log, Topic::Raw, 0..300);
    // The age of a record is in whole milliseconds.
    std::thread::sleep(Duration::from_millis(2));
    let floor = log.ranges(Topic::Raw).unwrap()[1].next;
    let everything = RetentionPolicy { max_age: Duration::ZERO, max_bytes: 0 };
    log.retire(everything, &[(Topic::Raw, 1, floor)]).unwrap();
    for step in 1..12 {
        append(&log, Topic::Raw, step * 300..(step + 1) * 300);
        append(&log, Topic::Error, step * 40..(step + 1) * 40);
        append(&log, Topic::Retry, step * 7..(step + 1) * 7);
    }
    log.begin_at_least(&[(Topic::Error, 0, Offset(1_000))]).unwrap();
    append(&log, Topic::Error, 0..200);
    let position = SourcePosition { source: "a.csv".to_owned(), position: Some(7) };
    log.append(Topic::Raw, records(0..1), Some(position)).unwrap().wait().unwrap();
    let records = places()
        .into_iter()
        .map(|(topic, partition)| (topic, partition, read_partition(&log, topic, partition).unwrap()))
        .collect();
    drop(log);
    // The last connection has copied everything into the file itself.
    assert!(!folder.join("log.db-wal").exists());
    Whole { bytes: std::fs::read(folder.join("log.db")).unwrap(), records }
}

/// Says what is wrong with an error of a read, if anything is.
fn is_helpful(error: &LogError, topic: Topic) -> bool {
    let text = error.to_string();
    matches!(error, LogError::Corrupt { .. } | LogError::Unavailable { .. })
        && text.contains("log.db")
        && text.contains(topic.name())
        && text.contains("; ")
}

#[test]
fn whatever_bit_of_the_file_changes_no_record_is_lost_in_silence() {
    let folder = tempfile::tempdir().unwrap();
    let whole = whole(folder.path());
    let seed = adpipe_testkit::seed();
    let mut random = Pcg64::seed_from_u64(seed);
    let (mut exact, mut refused, mut at_opening) = (0, 0, 0);
    for _ in 0..FLIPS {
        let (byte, bit) = (random.random_range(0..whole.bytes.len()), random.random_range(0..8));
        let mut damaged = whole.bytes.clone();
        damaged[byte] ^= 1 << bit;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("log.db"), damaged).unwrap();
        let context = format!("seed {seed}, byte {byte}, bit {bit}");
        let log = match SqliteLog::open(folder.path()) {
            Ok(log) => log,
            Err(error) => {
                assert!(error.to_string().contains("log.db"), "{context}: {error}");
                at_opening += 1;
                continue;
            }
        };
        let mut is_exact = true;
        for (topic, partition, records) in &whole.records {
            match read_partition(&log, *topic, *partition) {
                Ok(read) => {
                    assert!(read == *records, "{context}: {topic:?} {partition}: {} records", read.len());
                }
                Err(error) => {
                    assert!(is_helpful(&error, *topic), "{context}: {error}");
                    is_exact = false;
                }
            }
        }
        match log.source_position("a.csv") {
            // Without its position a source is sent again, and its events are duplicates.
            Ok(position) => assert!(position.is_none_or(|position| position == 7), "{context}: {position:?}"),
            Err(error) => assert!(error.to_string().contains("log.db"), "{context}: {error}"),
        }
        let _ = (log.identity(), log.gaps(Topic::Error), log.check());
        if is_exact { exact += 1 } else { refused += 1 }
    }
    println!(
        "{FLIPS} flips: {exact} harmless, {refused} refused when read, {at_opening} refused when opened"
    );
}

/// Every column of every row, one at a time: (table, column, which row).
const COLUMNS: [(&str, &str, &str); 20] = [
    ("chunks", "topic", "second"),
    ("chunks", "partition", "second"),
    ("chunks", "base_offset", "second"),
    ("chunks", "records", "second"),
    ("chunks", "raw_bytes", "second"),
    ("chunks", "stored_bytes", "second"),
    ("chunks", "crc32", "second"),
    ("chunks", "crc_covers", "second"),
    ("chunks", "appended_at", "second"),
    ("chunks", "data", "second"),
    ("chunks", "topic", "last"),
    ("chunks", "base_offset", "last"),
    ("chunks", "records", "last"),
    ("partitions", "topic", "raw 0"),
    ("partitions", "partition", "raw 0"),
    ("partitions", "first_offset", "raw 0"),
    ("partitions", "next_offset", "raw 0"),
    ("partitions", "row_sum", "raw 0"),
    ("log_identity", "epoch", "it"),
    ("log_identity", "log_id", "it"),
];

fn condition(table: &str, which: &str) -> String {
    let chunk = |order: &str| {
        format!(
            "chunk_id = (select chunk_id from {table} where topic = 'ad_events_raw' and partition = 0
             order by base_offset {order})"
        )
    };
    match which {
        "second" => chunk("limit 1 offset 1"),
        "last" => chunk("desc limit 1"),
        "raw 0" => "topic = 'ad_events_raw' and partition = 0".to_owned(),
        _ => "true".to_owned(),
    }
}

#[test]
fn every_column_that_a_record_depends_on_is_covered() {
    let folder = tempfile::tempdir().unwrap();
    let whole = whole(folder.path());
    for (table, column, which) in COLUMNS {
        for bit in [0, 1, 5, 14, 40] {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("log.db"), &whole.bytes).unwrap();
            let sqlite = rusqlite::Connection::open(folder.path().join("log.db")).unwrap();
            let flipped = match column {
                "topic" | "log_id" => format!(
                    "substr({column}, 1, {bit} % 10) || char(unicode(substr({column}, {bit} % 10 + 1, 1)) + 1)
                     || substr({column}, {bit} % 10 + 2)"
                ),
                "data" => format!(
                    "cast(substr(data, 1, {bit}) || char(unicode(substr(data, {bit} + 1, 1)) % 2 + 50)
                     || substr(data, {bit} + 2) as blob)"
                ),
                _ => format!("({column} | (1 << {bit})) - ({column} & (1 << {bit}))"),
            };
            let place = condition(table, which);
            // A key that is taken, or a check that fails, is not damage of this kind.
            let update = format!("update or ignore {table} set {column} = {flipped} where {place}");
            if sqlite.execute(&update, []).unwrap_or(0) == 0 {
                continue;
            }
            drop(sqlite);
            let context = format!("{table}.{column} bit {bit} of {which}");
            let log = match SqliteLog::open(folder.path()) {
                Ok(log) => log,
                Err(error) => {
                    assert!(
                        table == "log_identity" && error.to_string().contains("log.db"),
                        "{context}: {error}"
                    );
                    continue;
                }
            };
            assert!(table != "log_identity", "{context} went unseen");
            for (topic, partition, records) in &whole.records {
                let is_damaged = (*topic, *partition) == (Topic::Raw, 0);
                match read_partition(&log, *topic, *partition) {
                    Ok(read) => {
                        assert!(!is_damaged, "{context} went unseen");
                        assert!(read == *records, "{context}: {topic:?} {partition}");
                    }
                    Err(error) => {
                        let is_listed = table == "partitions" && *topic == Topic::Raw;
                        assert!(is_damaged || is_listed, "{context} stops {topic:?} {partition}: {error}");
                        assert!(is_helpful(&error, *topic), "{context}: {error}");
                    }
                }
            }
        }
    }
}

#[test]
fn damage_is_neither_appended_to_nor_retired_nor_taken_for_a_new_log() {
    let folder = tempfile::tempdir().unwrap();
    let whole = whole(folder.path());
    let damaged = |statement: &str| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("log.db"), &whole.bytes).unwrap();
        let sqlite = rusqlite::Connection::open(folder.path().join("log.db")).unwrap();
        assert_eq!(sqlite.execute(statement, []).unwrap(), 1, "{statement}");
        folder
    };

    let folder = damaged("update partitions set next_offset = 3 where topic = 'ad_events_retry'");
    let log = SqliteLog::open(folder.path()).unwrap();
    let error = log.append(Topic::Retry, records(0..1), None).unwrap().wait().unwrap_err();
    assert!(error.to_string().contains("ad_events_retry partition 0"), "{error}");
    append(&log, Topic::Raw, 0..10);

    let folder = damaged(
        "delete from chunks where chunk_id = (select chunk_id from chunks
         where topic = 'ad_events_raw' and partition = 0 order by base_offset limit 1 offset 1)",
    );
    let log = SqliteLog::open(folder.path()).unwrap();
    let end = log.ranges(Topic::Raw).unwrap()[0].next;
    let everything = RetentionPolicy { max_age: Duration::ZERO, max_bytes: 0 };
    let error = log.retire(everything, &[(Topic::Raw, 0, end)]).unwrap_err();
    assert!(error.to_string().contains("ad_events_raw partition 0 offset"), "{error}");
    let problems = log.check().unwrap();
    assert!(problems.is_empty(), "SQLite itself sees nothing wrong: {problems:?}");

    let folder = damaged("delete from log_identity");
    let error = SqliteLog::open(folder.path()).err().unwrap();
    assert!(error.to_string().contains("its identity is missing"), "{error}");

    let folder = damaged("update log_gaps set to_offset = 999");
    let error = read_partition(&SqliteLog::open(folder.path()).unwrap(), Topic::Error, 0).unwrap_err();
    assert!(error.to_string().contains("ad_events_error partition 0 offset 440"), "{error}");

    let folder = damaged("update sources set position = 6");
    let error = SqliteLog::open(folder.path()).unwrap().source_position("a.csv").unwrap_err();
    assert!(error.to_string().contains("a.csv"), "{error}");
}

#[test]
fn a_truncated_file_is_refused_or_read_up_to_where_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let whole = whole(folder.path());
    for pages in [0.02, 0.3, 0.6, 0.95] {
        let folder = tempfile::tempdir().unwrap();
        let keep = (whole.bytes.len() as f64 * pages) as usize;
        std::fs::write(folder.path().join("log.db"), &whole.bytes[..keep]).unwrap();
        let Ok(log) = SqliteLog::open(folder.path()) else { continue };
        for (topic, partition, records) in &whole.records {
            if let Ok(read) = read_partition(&log, *topic, *partition) {
                assert!(read == *records, "{keep} bytes: {topic:?} {partition}");
            }
        }
    }
}
