//! What the tests of the embedded log have in common.
#![allow(dead_code, reason = "each test file uses a part of this")]

use adpipe_log::sqlite::SqliteLog;
use adpipe_log::{EventLog, Headers, LogError, Offset, Records, Topic};

/// A record as it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    pub topic: Topic,
    pub partition: u32,
    pub offset: u64,
    pub key: Vec<u8>,
    pub payload: Vec<u8>,
    pub headers: Headers,
    pub appended_at_ms: i64,
}

pub fn records(range: std::ops::Range<u32>) -> Records {
    let mut records = Records::new();
    let plain = records.add_headers(Headers::default());
    let csv = records.add_headers(Headers::default().with("adpipe-format", "csv"));
    for number in range {
        let payload =
            format!("{{\"id\":\"{number}\",\"filler\":\"{}\"}}", number.wrapping_mul(2_654_435_761));
        let headers = if number.is_multiple_of(3) { csv } else { plain };
        assert!(records.push(number.to_string().as_bytes(), payload.as_bytes(), headers));
    }
    records
}

pub fn append(log: &SqliteLog, topic: Topic, range: std::ops::Range<u32>) {
    log.append(topic, records(range), None).unwrap().wait().unwrap();
}

/// Every record of a partition, over gaps that are on record.
pub fn read_partition(log: &SqliteLog, topic: Topic, partition: u32) -> Result<Vec<Seen>, LogError> {
    let range = log.ranges(topic)?.into_iter().find(|range| range.partition == partition).unwrap();
    let mut all = Vec::new();
    let mut next = range.first;
    while next < range.next {
        let batches = match log.read(topic, partition, next, 1 << 14) {
            Err(LogError::OutOfRange { oldest, .. }) if oldest > next.0 => {
                next = Offset(oldest);
                continue;
            }
            other => other?,
        };
        assert!(!batches.is_empty(), "{topic:?} {partition} {next}: nothing, and no error");
        for batch in batches {
            assert_eq!(batch.base_offset, next, "{topic:?} {partition}: records were passed over");
            next = batch.next_offset();
            all.extend(batch.iter().map(|record| Seen {
                topic,
                partition,
                offset: record.offset.0,
                key: record.key.to_vec(),
                payload: record.payload.to_vec(),
                headers: record.headers.clone(),
                appended_at_ms: batch.appended_at_ms,
            }));
        }
    }
    Ok(all)
}

/// Every partition of every topic.
pub fn places() -> Vec<(Topic, u32)> {
    let of_topic = |topic: Topic| (0..topic.default_partitions()).map(move |partition| (topic, partition));
    Topic::ALL.into_iter().flat_map(of_topic).collect()
}
