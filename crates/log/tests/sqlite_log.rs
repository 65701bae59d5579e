//! The embedded log: durable, dense, shared, retired, and honest about damage.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

use std::time::Duration;

use adpipe_log::sqlite::SqliteLog;
use adpipe_log::{
    EventLog, Headers, LogError, Offset, Polled, RecordBatch, Records, RetentionPolicy, SourcePosition, Topic,
};

fn records(range: std::ops::Range<u32>) -> Records {
    let mut records = Records::new();
    let headers = records.add_headers(Headers::default());
    for number in range {
        let payload = format!("{{\"id\":\"{number}\",\"filler\":\"{}\"}}", number % 7);
        assert!(records.push(number.to_string().as_bytes(), payload.as_bytes(), headers));
    }
    records
}

fn append(log: &SqliteLog, range: std::ops::Range<u32>) {
    log.append(Topic::Raw, records(range), None).unwrap().wait().unwrap();
}

fn all_keys(log: &SqliteLog) -> Vec<u32> {
    let mut keys = Vec::new();
    for range in log.ranges(Topic::Raw).unwrap() {
        let mut next = range.first;
        while next < range.next {
            for batch in log.read(Topic::Raw, range.partition, next, 1).unwrap() {
                assert_eq!(batch.base_offset, next, "offsets are dense");
                for record in batch.iter() {
                    keys.push(String::from_utf8_lossy(record.key).parse().unwrap());
                }
                next = batch.next_offset();
            }
        }
    }
    keys.sort_unstable();
    keys
}

#[test]
fn what_was_acknowledged_is_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    {
        let log = SqliteLog::open(folder.path()).unwrap();
        append(&log, 0..10_000);
        append(&log, 10_000..10_010);
    }
    let log = SqliteLog::open(folder.path()).unwrap();
    assert_eq!(all_keys(&log), (0..10_010).collect::<Vec<_>>());
}

#[test]
fn several_logs_on_one_file_append_without_gaps() {
    let folder = tempfile::tempdir().unwrap();
    SqliteLog::open(folder.path()).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..4u32 {
            let path = folder.path();
            scope.spawn(move || {
                let log = SqliteLog::open(path).unwrap();
                for step in 0..25 {
                    let start = writer * 1_000 + step * 40;
                    append(&log, start..start + 40);
                }
            });
        }
    });
    let log = SqliteLog::open(folder.path()).unwrap();
    assert_eq!(all_keys(&log), (0..4_000).collect::<Vec<_>>());
}

#[test]
fn a_consumer_starts_where_it_is_told_and_sees_new_records() {
    let folder = tempfile::tempdir().unwrap();
    let log = SqliteLog::open(folder.path()).unwrap();
    append(&log, 0..300);
    let mut consumer = log.consume(Topic::Raw).unwrap();
    let Polled::Assigned(partitions) = consumer.poll(1 << 20, Duration::ZERO).unwrap() else {
        panic!("the assignment comes first")
    };
    assert_eq!(partitions, vec![0, 1, 2]);
    consumer.seek(1, Offset(5));
    let mut seen = 0;
    while let Polled::Batch(batch) = consumer.poll(1 << 20, Duration::ZERO).unwrap() {
        if batch.partition == 1 {
            assert_eq!(batch.base_offset, Offset(5));
        }
        seen += batch.len();
    }
    assert_eq!(seen, 295);

    // Another process: nobody tells this consumer, it has to look.
    append(&SqliteLog::open(folder.path()).unwrap(), 300..301);
    let Polled::Batch(batch) = consumer.poll(1 << 20, Duration::from_secs(10)).unwrap() else {
        panic!("the new record was not noticed")
    };
    assert_eq!(batch.len(), 1);
}

#[test]
fn headers_and_bytes_come_back_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let log = SqliteLog::open(folder.path()).unwrap();
    let mut records = Records::new();
    let headers =
        records.add_headers(Headers::default().with("adpipe-format", "csv").with("raw", vec![0, 255]));
    assert!(records.push(b"k", b"\x00\xff{not json", headers));
    log.append(Topic::Error, records, None).unwrap().wait().unwrap();
    let batches = log.read(Topic::Error, 0, Offset(0), 1).unwrap();
    let record = batches[0].iter().next().unwrap();
    assert_eq!(record.payload, b"\x00\xff{not json");
    assert_eq!(record.headers.text("adpipe-format"), Some("csv"));
    assert_eq!(record.headers.get("raw"), Some(&[0, 255][..]));
}

#[test]
fn rows_come_back_from_any_offset() {
    let folder = tempfile::tempdir().unwrap();
    let log = SqliteLog::open(folder.path()).unwrap();
    let mut records = Records::new();
    let headers = records.add_headers(Headers::default().with("adpipe-source", "a.csv"));
    for row in 1..=1_000u64 {
        let key = row.to_string();
        let fits = match row % 7 {
            0 => records.push(key.as_bytes(), b"{}", headers),
            _ => records.push_row(key.as_bytes(), b"{}", headers, row),
        };
        assert!(fits);
    }
    records.drop_first(100);
    records.keep_first(800);
    log.append(Topic::Raw, records, None).unwrap().wait().unwrap();
    let mut found = 0;
    for partition in 0..Topic::Raw.default_partitions() {
        let whole = log.read(Topic::Raw, partition, Offset(0), 1 << 20).unwrap();
        let later = log.read(Topic::Raw, partition, Offset(50), 1 << 20).unwrap();
        for record in whole.iter().chain(&later).flat_map(RecordBatch::iter) {
            let number: u64 = std::str::from_utf8(record.key).unwrap().parse().unwrap();
            assert!((101..=900).contains(&number));
            assert_eq!(record.row, (!number.is_multiple_of(7)).then_some(number));
            found += 1;
        }
    }
    let of_later = 50 * u64::from(Topic::Raw.default_partitions());
    assert_eq!(found, 800 + 800 - of_later);
}

#[test]
fn a_source_position_is_kept_with_its_records_and_forgotten_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let log = SqliteLog::open(folder.path()).unwrap();
    let at = |position| Some(SourcePosition { source: "a.csv".to_owned(), position });
    log.append(Topic::Raw, records(0..5), at(Some(5))).unwrap().wait().unwrap();
    assert_eq!(log.source_position("a.csv").unwrap(), Some(5));
    log.append(Topic::Raw, Records::new(), at(None)).unwrap().wait().unwrap();
    assert_eq!(log.source_position("a.csv").unwrap(), None);
}

#[test]
fn retention_never_drops_what_was_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let log = SqliteLog::open(folder.path()).unwrap();
    append(&log, 0..3_000);
    append(&log, 3_000..6_000);
    let everything = RetentionPolicy { max_age: Duration::ZERO, max_bytes: 0 };
    // The age of a record is in whole milliseconds.
    std::thread::sleep(Duration::from_millis(2));
    let first_chunk_end = log.read(Topic::Raw, 0, Offset(0), 1).unwrap()[0].next_offset();

    assert_eq!(log.retire(everything, &[]).unwrap().records, 0, "no floor, nothing dropped");
    let retired = log.retire(everything, &[(Topic::Raw, 0, first_chunk_end)]).unwrap();
    assert_eq!(retired.records, first_chunk_end.0);
    let range = log.ranges(Topic::Raw).unwrap()[0];
    assert_eq!(range.first, first_chunk_end);
    let error = log.read(Topic::Raw, 0, Offset(0), 1).unwrap_err();
    assert!(matches!(error, LogError::OutOfRange { wanted: 0, .. }), "{error}");

    // Offsets stay dense when nothing is left.
    let floors: Vec<_> =
        log.ranges(Topic::Raw).unwrap().iter().map(|r| (Topic::Raw, r.partition, r.next)).collect();
    log.retire(everything, &floors).unwrap();
    append(&log, 6_000..6_010);
    for (before, after) in floors.iter().zip(log.ranges(Topic::Raw).unwrap()) {
        assert_eq!(after.first, before.2);
    }
}

#[test]
fn a_damaged_chunk_is_reported_with_its_place_and_nothing_is_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let log = SqliteLog::open(folder.path()).unwrap();
    append(&log, 0..100);
    append(&log, 100..200);
    let sqlite = rusqlite::Connection::open(folder.path().join("log.db")).unwrap();
    sqlite
        .execute(
            "update chunks set data = zeroblob(stored_bytes)
             where chunk_id = (select max(chunk_id) from chunks where partition = 0)",
            [],
        )
        .unwrap();
    let sound = log.read(Topic::Raw, 0, Offset(0), usize::MAX).unwrap();
    assert_eq!(sound.len(), 1, "what comes before the damage is still given");
    let error = log.read(Topic::Raw, 0, sound[0].next_offset(), 1).unwrap_err();
    assert!(matches!(error, LogError::Corrupt { .. }));
    assert!(error.to_string().contains("partition 0 offset"), "{error}");
}

#[test]
fn a_file_that_is_no_database_is_refused_with_advice() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("log.db"),
        "this is not a database, and long enough to be read".repeat(40),
    )
    .unwrap();
    let error = SqliteLog::open(folder.path()).err().unwrap();
    assert!(error.to_string().contains("restore the file"), "{error}");
}
