//! How much one body may hold, and how much may wait before it.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

mod common;

use std::time::{Duration, Instant};

use adpipe_generate::Format;
use adpipe_ingest::EventsConfig;
use adpipe_log::Topic;
use adpipe_testkit::eventually;
use common::{Harness, events, gzip, taking};

const NDJSON: &[(&str, &str)] = &[("Content-Type", "application/x-ndjson")];

#[test]
fn what_is_too_long_is_counted_and_nothing_else_is_refused() {
    let harness = Harness::start(taking(EventsConfig { max_record_bytes: 1_000, ..EventsConfig::default() }));
    let long = format!("{{\"id\":\"2\",\"x\":\"{}\"}}\n", "y".repeat(5_000));
    let mixed = format!("{{\"id\":\"1\"}}\n{long}{long}");
    let answer = harness.post(&[], mixed.as_bytes());
    assert_eq!((answer.status, answer.text().as_str()), (202, r#"{"accepted":3,"too_long":2}"#));
    assert_eq!(harness.post(&[], b"{\"id\":\"1\"}").text(), r#"{"accepted":1}"#);
    let before = harness.records(Topic::Raw).len();
    // Nothing but long ones: in one slice, and in several.
    for body in [long.clone().into_bytes(), gzip(long.repeat(10_000).as_bytes()), gzip(&vec![b'x'; 9 << 20])]
    {
        let answer = harness.post(NDJSON, &body);
        assert_eq!(answer.status, 413, "{}", answer.text());
        assert!(answer.error().contains("ingest.max_record_size"), "{}", answer.error());
    }
    assert_eq!(harness.records(Topic::Raw).len(), before);
}

#[test]
fn a_body_has_limits_for_records_and_for_garbage() {
    let limits =
        EventsConfig { max_body_records: 300_000, max_body_errors: 1_000, ..EventsConfig::default() };
    let harness = Harness::start(taking(limits));
    let started = Instant::now();
    let bomb = gzip(&b"x\n".repeat(20_000_000));
    for _ in 0..10 {
        let answer = harness.post(NDJSON, &bomb);
        assert_eq!(answer.status, 413, "{}", answer.text());
        assert!(answer.error().contains("ingest.max_body_records"), "{}", answer.error());
    }
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
    let good = events(2_000, Format::Ndjson);
    let mixed = |garbage: usize| [b"garbage\n".repeat(garbage), good.clone()].concat();
    // Nearly nothing can be read: refused, in one slice and in several, and nothing is stored.
    for garbage in [b"[]\n".repeat(1_001), b"{}\n".repeat(250_000), mixed(100_000)] {
        let answer = harness.post(NDJSON, &garbage);
        assert_eq!(answer.status, 422, "{}", answer.text());
        assert!(answer.error().contains("ingest.max_body_errors"), "{}", answer.error());
    }
    assert!(harness.records(Topic::Raw).is_empty());
    // A few, or a part, are kept as errors, whatever they are.
    for body in [b"[]\n".repeat(1_000), mixed(15_000)] {
        let answer = harness.post(NDJSON, &body);
        assert_eq!(answer.status, 202, "{}", answer.text());
    }
    assert_eq!(harness.records(Topic::Raw).len(), 1_000 + 15_000 + 2_000);
}

#[test]
fn a_body_that_does_not_fit_behind_what_waits_comes_again_later() {
    let harness = Harness::start(taking(EventsConfig { max_lag_records: 100, ..EventsConfig::default() }));
    assert_eq!(harness.post(&[], &events(60, Format::Ndjson)).status, 202);
    let answer = harness.post(&[], &events(90, Format::Ndjson));
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("1")), "{}", answer.text());
    harness.process();
    let body = events(90, Format::Ndjson);
    eventually("it is taken", || harness.post(&[], &body).status == 202);
}
