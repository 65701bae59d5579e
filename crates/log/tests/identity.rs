//! Who the embedded log is, what it skipped, and how an older file becomes one of today's.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use std::path::Path;
use std::time::Duration;

use adpipe_log::sqlite::SqliteLog;
use adpipe_log::{EventLog, LogError, Offset, RetentionPolicy, SourcePosition, Topic};
use common::{append, places, read_partition, records};

#[test]
fn a_log_keeps_its_identity_and_another_has_another() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = SqliteLog::open(folder.path()).unwrap().identity().unwrap();
    assert_eq!(first.epoch, 0);
    assert_eq!(SqliteLog::open(folder.path()).unwrap().identity().unwrap(), first);
    assert_ne!(SqliteLog::open(other.path()).unwrap().identity().unwrap().id, first.id);
}

#[test]
fn raising_is_one_epoch_and_leaves_a_gap_on_record_for_each_partition() {
    let folder = tempfile::tempdir().unwrap();
    let log = SqliteLog::open(folder.path()).unwrap();
    append(&log, Topic::Error, 0..10);
    let raw_next = log.ranges(Topic::Raw).unwrap()[1].next;
    let floors = [(Topic::Raw, 1, Offset(100)), (Topic::Error, 0, Offset(25)), (Topic::Retry, 0, Offset(0))];
    let raised = log.begin_at_least(&floors).unwrap();
    let raised: Vec<_> = raised.iter().map(|r| (r.topic, r.partition, r.before.0, r.goes_on_at.0)).collect();
    assert_eq!(raised, [(Topic::Raw, 1, raw_next.0, 100), (Topic::Error, 0, 10, 25)]);
    assert_eq!(log.identity().unwrap().epoch, 1);
    assert!(log.begin_at_least(&floors).unwrap().is_empty(), "it is behind nobody any more");
    assert_eq!(SqliteLog::open(folder.path()).unwrap().identity().unwrap().epoch, 1);

    let gaps = log.gaps(Topic::Error).unwrap();
    assert_eq!((gaps.len(), gaps[0].from.0, gaps[0].to.0, gaps[0].epoch), (1, 10, 25, 1));
    // Nothing lies before the gap in one of them, ten records in the other.
    let range = log.ranges(Topic::Raw).unwrap()[1];
    assert_eq!((range.first.0, range.next.0), (100, 100));
    append(&log, Topic::Error, 10..12);
    let before = log.read(Topic::Error, 0, Offset(3), usize::MAX).unwrap();
    assert_eq!(before.last().unwrap().next_offset(), Offset(10), "a read never crosses a gap");
    let error = log.read(Topic::Error, 0, Offset(17), 1).unwrap_err();
    assert!(matches!(error, LogError::OutOfRange { wanted: 17, oldest: 25, .. }), "{error}");
    assert_eq!(log.read(Topic::Error, 0, Offset(25), 1).unwrap()[0].len(), 2);
    let error = log.read(Topic::Error, 0, Offset(28), 1).unwrap_err();
    assert!(matches!(error, LogError::OutOfRange { wanted: 28, .. }), "beyond the end: {error}");

    // Retention goes over a gap, and takes nothing that is not its own.
    // The age of a record is in whole milliseconds.
    std::thread::sleep(Duration::from_millis(2));
    let everything = RetentionPolicy { max_age: Duration::ZERO, max_bytes: 0 };
    let retired = log.retire(everything, &[(Topic::Error, 0, Offset(25))]).unwrap();
    assert_eq!((retired.records, log.ranges(Topic::Error).unwrap()[0].first.0), (10, 25));
}

/// Makes a file as adpipe wrote it before logs had an identity, out of one of today's.
fn downgrade(folder: &Path) {
    let log = rusqlite::Connection::open(folder.join("log.db")).unwrap();
    log.execute_batch(
        "drop table log_identity; drop table log_gaps;
         alter table partitions drop column first_offset; alter table partitions drop column row_sum;
         alter table sources drop column row_sum;
         alter table chunks drop column crc_covers;
         delete from schema_migrations where version > 1;",
    )
    .unwrap();
    let mut chunks = log.prepare("select chunk_id, data from chunks").unwrap();
    let mut rows = chunks.query([]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        let data: Vec<u8> = row.get(1).unwrap();
        let params = rusqlite::params![row.get::<_, i64>(0).unwrap(), crc32fast::hash(&data)];
        log.execute("update chunks set crc32 = ?2 where chunk_id = ?1", params).unwrap();
    }
}

/// A file of before, with what it should give: retired, with a hole, with an unfinished source.
fn old_log(folder: &Path) -> Vec<common::Seen> {
    let log = SqliteLog::open(folder).unwrap();
    append(&log, Topic::Raw, 0..3_000);
    let floor = log.ranges(Topic::Raw).unwrap()[2].next;
    // The age of a record is in whole milliseconds.
    std::thread::sleep(Duration::from_millis(2));
    let everything = RetentionPolicy { max_age: Duration::ZERO, max_bytes: 0 };
    log.retire(everything, &[(Topic::Raw, 2, floor)]).unwrap();
    let position = SourcePosition { source: "a.csv".to_owned(), position: Some(7) };
    log.append(Topic::Raw, records(3_000..6_000), Some(position)).unwrap().wait().unwrap();
    append(&log, Topic::Error, 0..10);
    log.begin_at_least(&[(Topic::Error, 0, Offset(20))]).unwrap();
    append(&log, Topic::Error, 10..15);
    log.begin_at_least(&[(Topic::Error, 0, Offset(30))]).unwrap();
    let all =
        places().into_iter().flat_map(|(topic, partition)| read_partition(&log, topic, partition).unwrap());
    let all = all.collect();
    drop(log);
    downgrade(folder);
    all
}

#[test]
fn an_older_file_is_upgraded_and_goes_on_exactly() {
    let folder = tempfile::tempdir().unwrap();
    let before = old_log(folder.path());
    let log = SqliteLog::open(folder.path()).unwrap();
    let identity = log.identity().unwrap();
    assert_eq!((identity.id.len(), identity.epoch), (36, 0));
    let read = || -> Vec<common::Seen> {
        places()
            .into_iter()
            .flat_map(|(topic, partition)| read_partition(&log, topic, partition).unwrap())
            .collect()
    };
    assert!(read() == before);
    assert_eq!(log.source_position("a.csv").unwrap(), Some(7));
    let gaps: Vec<_> = log.gaps(Topic::Error).unwrap().iter().map(|gap| (gap.from.0, gap.to.0)).collect();
    assert_eq!(gaps, [(10, 20), (25, 30)], "what it skipped before is on record");

    append(&log, Topic::Raw, 6_000..6_100);
    assert_eq!(read().len(), before.len() + 100);
    assert_eq!(SqliteLog::open(folder.path()).unwrap().identity().unwrap(), identity);
}

#[test]
fn damage_of_chunks_of_before_is_noticed_by_what_lies_around_them() {
    for change in [
        "topic = 'ad_events_rav'",
        "base_offset = base_offset - 1",
        "base_offset = base_offset + 64",
        "records = records - 1",
        "records = records + 1",
        "raw_bytes = raw_bytes + 1",
        "raw_bytes = 1 << 60",
        "partition = 1 - partition",
        "records = -5",
        "base_offset = -7",
        "raw_bytes = 'x'",
        "data = null || data",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let before = old_log(folder.path());
        let sqlite = rusqlite::Connection::open(folder.path().join("log.db")).unwrap();
        SqliteLog::open(folder.path()).unwrap();
        let second = "chunk_id = (select chunk_id from chunks where topic = 'ad_events_raw' and partition = 0
                      order by base_offset limit 1 offset 1)";
        let changed = sqlite.execute(&format!("update or ignore chunks set {change} where {second}"), []);
        if changed.is_err() {
            continue;
        }
        let log = SqliteLog::open(folder.path()).unwrap();
        let whole: Vec<_> =
            before.iter().filter(|s| (s.topic, s.partition) == (Topic::Raw, 0)).cloned().collect();
        match read_partition(&log, Topic::Raw, 0) {
            Ok(read) => assert!(read == whole, "{change}: other records, and no error"),
            Err(error) => {
                assert!(matches!(error, LogError::Corrupt { .. }), "{change}: {error}");
                assert!(error.to_string().contains("ad_events_raw partition 0 offset"), "{change}: {error}");
            }
        }
    }
}
