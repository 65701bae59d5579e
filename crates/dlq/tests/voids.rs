//! Errors of an attempt that died before its commit, when the next attempt decided otherwise: they
//! are no errors, whenever they come to the queue.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use adpipe_dlq::{DlqSettings, Status};
use adpipe_log::{Headers, Offset, Topic, header};
use adpipe_testkit::eventually;
use common::{Rig, event, from_now, on_both, quick};

/// Where the raw record with this payload lies.
fn place_of(rig: &Rig, payload: &[u8]) -> (u32, u64) {
    for range in rig.log.ranges(Topic::Raw).unwrap() {
        let mut next = range.first;
        while next < range.next {
            for batch in rig.log.read(Topic::Raw, range.partition, next, 1 << 20).unwrap() {
                next = batch.next_offset();
                if let Some(record) = batch.iter().find(|record| record.payload == payload) {
                    return (range.partition, record.offset.0);
                }
            }
        }
    }
    panic!("the record is not in the log")
}

/// The error record that an attempt appends before it dies.
fn leave_error(rig: &Rig, topic: Topic, (partition, offset): (u32, u64), payload: &[u8], headers: Headers) {
    let headers = headers
        .with(header::ERROR_TOPIC, topic.name())
        .with(header::ERROR_PARTITION, partition.to_string())
        .with(header::ERROR_OFFSET, offset.to_string())
        .with(header::ERROR_TYPE, "validation")
        .with(header::ERROR_MESSAGE, "as it was decided before the crash");
    rig.append(Topic::Error, vec![(payload.to_vec(), headers)]);
}

const ERRORS: &str = "select count(*) from errors.dlq_errors";

/// Waits until everything in the error topic is stored.
fn await_stored(rig: &Rig) {
    let end = rig.log.ranges(Topic::Error).unwrap()[0].next.0 as i64;
    rig.await_number("select max(next_offset) from errors.offsets where topic = 'ad_events_error'", end);
}

#[test]
fn an_error_of_a_record_that_was_counted_is_void() {
    on_both("an_error_of_a_record_that_was_counted_is_void", quick(), |rig| {
        let payloads: Vec<Vec<u8>> = ["a", "b", "c"].iter().map(|id| event(id, "14102100", |_| {})).collect();
        rig.send(&payloads);
        let places: Vec<(u32, u64)> = payloads.iter().map(|payload| place_of(rig, payload)).collect();

        // Stored before the commit that decides otherwise.
        leave_error(rig, Topic::Raw, places[0], &payloads[0], Headers::default());
        rig.start_role();
        rig.await_status(Status::Exhausted, 1);
        rig.start_stream();
        rig.await_number("select count(*) from realtime.events", 3);
        rig.await_number(
            "select count(*) from errors.dlq_errors where status = 'resolved' and resolution = 'void'",
            1,
        );
        rig.verify();

        // Appended after the commits were looked at, by a process that had been stopped meanwhile.
        let looked_at = format!(
            "select count(*) from errors.offsets where topic = 'realtime.invalid_offsets:ad_events_raw'
             and partition = {} and next_offset > {}",
            places[1].0, places[1].1
        );
        rig.await_number(&looked_at, 1);
        leave_error(rig, Topic::Raw, places[1], &payloads[1], Headers::default());
        await_stored(rig);
        assert_eq!(rig.number(ERRORS), 1, "it is not even stored");

        // A real error next to them stays one.
        rig.send(&[b"{not json".to_vec()]);
        rig.await_status(Status::Exhausted, 1);
        rig.verify();

        // Still on its way, with nobody to store it.
        rig.stop_roles();
        leave_error(rig, Topic::Raw, places[2], &payloads[2], Headers::default());
        rig.verify();
    });
}

#[test]
fn a_try_that_failed_before_a_crash_and_was_counted_after_it_is_resolved() {
    let settings = DlqSettings { max_retries: 1, ..quick() };
    on_both("a_try_that_failed_before_a_crash_and_was_counted_after_it_is_resolved", settings, |rig| {
        rig.start(1);
        rig.send(&[event("a", &from_now(3_500), |_| {})]);
        rig.await_number(ERRORS, 1);
        rig.stop_stream();
        eventually("it is tried again", || rig.log.ranges(Topic::Retry).unwrap()[0].next > Offset(0));
        let batches = rig.log.read(Topic::Retry, 0, Offset(0), 1).unwrap();
        let record = batches[0].iter().next().unwrap();
        leave_error(rig, Topic::Retry, (0, 0), record.payload, record.headers.clone());
        rig.await_number("select count(*) from errors.repeated_failures", 1);
        rig.await_status(Status::Exhausted, 1);

        rig.start_stream();
        rig.await_number(
            "select count(*) from errors.dlq_errors where status = 'resolved' and resolution = 'applied'",
            1,
        );
        assert_eq!(rig.number("select count(*) from errors.repeated_failures"), 0);
        assert_eq!(rig.number("select count(*) from realtime.events"), 1);
        rig.verify();
    });
}
