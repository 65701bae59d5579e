//! The end: in time, and nobody is left without an answer.

mod common;

use std::io::{Read, Write};
use std::time::Duration;

use adpipe_generate::Format;
use adpipe_log::Topic;
use adpipe_testkit::assert_in_time;
use adpipe_testkit::raw_http::{Answer, head};
use common::{Harness, config, events};

#[test]
fn requests_under_way_are_answered_and_streams_closed() {
    let mut harness = Harness::start(config());
    let body = events(2_000, Format::Ndjson);
    let length = body.len().to_string();
    let request = head("POST", "/v1/events", &[("Content-Length", &length), ("Connection", "close")]);

    let mut streaming = harness.connect();
    streaming.write_all(format!("{}\r\n", head("GET", "/live", &[])).as_bytes()).unwrap();
    let mut first = [0; 16];
    streaming.read_exact(&mut first).unwrap();

    let idle = harness.connect();
    let mut finishing = harness.connect();
    finishing.write_all(format!("{request}\r\n").as_bytes()).unwrap();
    finishing.write_all(&body[..1_000]).unwrap();
    let mut hanging = harness.connect();
    hanging.write_all(format!("{request}\r\n").as_bytes()).unwrap();
    hanging.write_all(&body[..1_000]).unwrap();
    // Nothing tells from outside when these bytes have been taken.
    std::thread::sleep(Duration::from_millis(200));

    let rest = body[1_000..].to_vec();
    let finisher = std::thread::spawn(move || {
        // Into the middle of the shutdown.
        std::thread::sleep(Duration::from_millis(200));
        finishing.write_all(&rest).unwrap();
        Answer::read(&mut finishing)
    });
    let took = harness.stop();
    assert_in_time("the end", took, Duration::from_millis(1_000));

    let answer = finisher.join().unwrap();
    assert_eq!((answer.status, &answer.json()["accepted"]), (202, &2_000.into()));
    assert_eq!(harness.records(Topic::Raw).len(), 2_000);
    let answer = Answer::read(&mut hanging);
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")));
    // The stream ends as a stream should: with its last chunk.
    let mut rest = Vec::new();
    streaming.read_to_end(&mut rest).unwrap();
    assert!(rest.ends_with(b"0\r\n\r\n"));
    drop(idle);
}

#[test]
fn an_idle_console_ends_at_once() {
    let mut harness = Harness::start(config());
    assert_eq!(harness.get("/healthz").status, 200);
    let took = harness.stop();
    assert_in_time("the end", took, Duration::from_millis(400));
}
