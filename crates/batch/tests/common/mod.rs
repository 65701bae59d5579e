//! Events to write.

#![allow(dead_code, reason = "each test file uses its part")]

use adpipe_batch::archive::{Archive, PartFile, Stamp};
use adpipe_event::{Event, EventBatch, Millis};
use adpipe_warehouse::PartName;

const HOUR_MS: i64 = 3_600_000;

/// Two days of events, not sorted, with missing numbers, long ids and characters of every length.
pub fn events(count: u32) -> EventBatch {
    let mut events = EventBatch::new();
    let start = Millis::parse_sql("2014-10-21 00:00:00").unwrap().0;
    for number in 0..count {
        let id = if number % 3 == 0 {
            format!("id-{number}")
        } else {
            u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_string()
        };
        let city = ["Köln", "서울", "a,\"b\"", "x"][number as usize % 4];
        let texts = [city, "b", "c", "d", "e", "f", &id, "h", "i"];
        events.push(&Event {
            id: &id,
            click: number % 6 == 0,
            event_time: Millis(start + i64::from(number.wrapping_mul(7_919)) * 37 % (48 * HOUR_MS)),
            banner_pos: (number % 100) as u8,
            device_type: 1,
            device_conn_type: 99,
            texts,
            ints: std::array::from_fn(|column| {
                (!(number as usize).is_multiple_of(column + 2)).then_some(number as i32 - 1)
            }),
        });
    }
    events
}

/// The archive, as a run of batch has it.
pub fn written(archive: &Archive) -> Archive {
    archive.written_by(Stamp::of_new_run("this data set".to_owned()))
}

/// A part as the archive's list would have it.
pub fn listed(part: &PartFile) -> PartName {
    PartName { path: part.path.clone(), hash: Some(part.hash.clone()) }
}

pub fn line(event: &Event<'_>) -> Vec<u8> {
    let mut line = Vec::new();
    event.write_csv(&mut line);
    line
}
