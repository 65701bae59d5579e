//! Every error is stored once, whole, with its cause.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use adpipe_dlq::report::story;
use adpipe_dlq::{Filter, Status};
use adpipe_event::{Millis, Parser, Rules};
use adpipe_generate::{Config, Generator, RecordKind};
use adpipe_log::{Headers, Topic, header};
use common::{event, from_now, on_both, quick};

/// Payload, type and field of each; some payloads are alike.
type Bad = Vec<(Vec<u8>, String, Option<String>)>;

/// The generator's records, what is wrong with each bad one, and how many are valid. The kinds are
/// the generator's own account; the field is what a parser names.
fn generated(records: u64, seed: u64) -> (Vec<Vec<u8>>, Bad, u64) {
    let config =
        Config { rows: Some(records), seed, bad: 0.02, now_ms: Some(Millis::now().0), ..Config::default() };
    let mut generator = Generator::new(config).unwrap();
    let mut parser = Parser::new(Rules { max_future_ms: 2_000, ..Rules::default() });
    let (mut payloads, mut bad, mut valid) = (Vec::new(), Bad::new(), 0);
    let mut payload = Vec::new();
    while let Some(kind) = generator.next_record(&mut payload) {
        let line = payload.strip_suffix(b"\n").unwrap_or(&payload).to_vec();
        match kind {
            RecordKind::Bad(error_type) => {
                let error = parser.parse_json(&line, Millis::now()).unwrap_err();
                bad.push((line.clone(), error_type.name().to_owned(), error.field.map(str::to_owned)));
            }
            _ => valid += 1,
        }
        payloads.push(line);
        payload.clear();
    }
    bad.sort();
    (payloads, bad, valid)
}

#[test]
fn a_stream_with_errors_of_every_type_is_sorted_out() {
    on_both("a_stream_with_errors_of_every_type_is_sorted_out", quick(), |rig| {
        let (payloads, bad, valid) = generated(50_000, 20_261_124);
        assert!(bad.len() > 800, "{}", bad.len());
        rig.start(1);
        rig.send(&payloads);
        rig.await_number("select count(*) from errors.dlq_errors", bad.len() as i64);
        rig.await_number("select coalesce(sum(impressions), 0) from realtime.metrics_hourly", valid as i64);
        let mut found = Bad::new();
        let sql = "select raw_payload, error_type, field from errors.dlq_errors";
        for row in rig.rows(sql) {
            let adpipe_warehouse::Value::Blob(payload) = &row[0] else { panic!("{row:?}") };
            found.push((payload.clone(), row[1].to_string(), row[2].as_str().map(str::to_owned)));
        }
        found.sort();
        assert!(found == bad, "what is stored is not what was sent");
        rig.verify();
    });
}

#[test]
fn what_is_delivered_twice_is_stored_once() {
    on_both("what_is_delivered_twice_is_stored_once", quick(), |rig| {
        let headers = Headers::default()
            .with(header::SOURCE, "a.csv")
            .with(header::ERROR_TOPIC, "ad_events_raw")
            .with(header::ERROR_PARTITION, "1")
            .with(header::ERROR_OFFSET, "77")
            .with(header::ERROR_TYPE, "validation")
            .with(header::ERROR_FIELD, "click")
            .with(header::ERROR_MESSAGE, "click 7 is out of range 0..=1");
        let record = (b"{\"click\":7}".to_vec(), headers);
        rig.append(Topic::Error, vec![record.clone(), record.clone()]);
        rig.start_role();
        rig.await_number("select next_offset from errors.offsets where topic = 'ad_events_error'", 2);
        rig.stop_roles();
        // Also by another process, later.
        rig.append(Topic::Error, vec![record]);
        rig.start_role();
        rig.await_number("select next_offset from errors.offsets where topic = 'ad_events_error'", 3);
        let errors = rig.errors(&Filter::default());
        assert_eq!(errors.len(), 1);
        let error = &errors[0];
        assert_eq!((error.topic.as_str(), error.partition, error.offset), ("ad_events_raw", 1, 77));
        assert_eq!((error.status.as_str(), error.retry_count), ("exhausted", 0));
        let story = story(&rig.dlq, &error.error_id).unwrap();
        assert_eq!(story.headers, Headers::default().with(header::SOURCE, "a.csv"));
        let groups = adpipe_dlq::report::groups(&rig.dlq).unwrap();
        assert_eq!(groups.len(), 1);
        assert_eq!(groups[0].counts[Status::Exhausted as usize], 1);
        let spark = adpipe_dlq::report::sparklines(&rig.dlq).unwrap();
        assert_eq!(spark[0].1.iter().sum::<u64>(), 1);
    });
}

#[test]
fn poison_is_stored_byte_for_byte_and_stops_nobody() {
    on_both("poison_is_stored_byte_for_byte_and_stops_nobody", quick(), |rig| {
        let poison: Vec<Vec<u8>> = vec![
            [b"{\"id\":\"".as_slice(), &vec![b'x'; 10 << 20], b"\"}"].concat(),
            [vec![b'['; 200_000], vec![b']'; 200_000]].concat(),
            [b"{\"a\":".repeat(50_000), b"1".to_vec(), b"}".repeat(50_000)].concat(),
            b"\xff\xfe\x00\x01 not text".to_vec(),
            b"\0\0\0".to_vec(),
            b"{\"id\":\"\0\"}".to_vec(),
            b"{\"id\":\"\\u0000\",\"site_id\":\"a\\u0000b\"}".to_vec(),
            b"<script>alert(1)</script>".to_vec(),
            b"'; drop table errors.dlq_errors; --".to_vec(),
            Vec::new(),
        ];
        rig.start(1);
        rig.send(&poison);
        // Records of somebody else's, straight into the error topic.
        let strange = Headers::default().with("x", vec![0xff, 0x00]).with(header::ERROR_TYPE, "nonsense");
        let nul = Headers::default()
            .with(header::ERROR_TOPIC, "t\0")
            .with(header::ERROR_PARTITION, "0")
            .with(header::ERROR_OFFSET, "0")
            .with(header::ERROR_MESSAGE, "nul \0 here")
            .with(header::ERROR_FIELD, "f\0")
            .with(header::RETRY_ERROR_ID, "no-id")
            .with(header::RETRY_ATTEMPT, "x");
        rig.append(Topic::Error, vec![(b"strange".to_vec(), strange), (b"nul".to_vec(), nul)]);
        // And into the retry topic.
        let retry =
            Headers::default().with(header::RETRY_ERROR_ID, "'\0--").with(header::RETRY_ATTEMPT, "-1");
        rig.append(
            Topic::Retry,
            vec![
                (event("from-retry", "14102100", |_| {}), retry.clone()),
                (b"bad from retry".to_vec(), retry),
            ],
        );
        rig.send(&[event("good", "14102100", |_| {})]);
        rig.await_number("select count(*) from errors.dlq_errors", poison.len() as i64 + 3);
        rig.await_number("select count(*) from realtime.events", 2);
        let mut found: Vec<Vec<u8>> = Vec::new();
        for error in rig.errors(&Filter::default()) {
            found.push(story(&rig.dlq, &error.error_id).unwrap().raw_payload);
        }
        for payload in poison.iter().map(Vec::as_slice).chain([&b"strange"[..], b"nul", b"bad from retry"]) {
            assert!(
                found.iter().any(|found| found == payload),
                "{:?} is missing",
                &payload[..payload.len().min(30)]
            );
        }
        rig.verify();
    });
}

#[test]
fn retention_removes_what_is_closed_and_keeps_the_account() {
    let settings = adpipe_dlq::DlqSettings {
        keep_resolved: std::time::Duration::ZERO,
        keep_discarded: std::time::Duration::from_secs(86_400),
        ..quick()
    };
    on_both("retention_removes_what_is_closed_and_keeps_the_account", settings, |rig| {
        rig.start(1);
        rig.send(&[
            event("heals", &from_now(2_500), |_| {}),
            event("bad", "14102100", |e| {
                e.insert("click".to_owned(), 7.into());
            }),
        ]);
        rig.await_status(Status::Resolved, 1);
        rig.await_status(Status::Exhausted, 1);
        rig.verify();
        // As long as the log holds the record, the error is what says why it is not an event.
        assert_eq!(adpipe_dlq::retention::retire(&rig.dlq).unwrap(), 0);
        let everything = adpipe_stream::housekeeping::Retention {
            log: adpipe_log::RetentionPolicy { max_age: std::time::Duration::ZERO, max_bytes: 0 },
            warehouse: adpipe_warehouse::RetentionPolicy {
                minutes: std::time::Duration::from_secs(7 * 86_400),
                commits: std::time::Duration::from_secs(86_400),
                events: std::time::Duration::ZERO,
            },
        };
        adpipe_stream::housekeeping::retire(everything, rig.log.as_ref(), rig.warehouse.as_ref()).unwrap();
        assert_eq!(adpipe_dlq::retention::retire(&rig.dlq).unwrap(), 1);
        assert_eq!(rig.number("select count(*) from errors.dlq_errors"), 1);
        assert_eq!(rig.number("select count(*) from errors.retry_history"), 0);
        rig.verify();
    });
}

#[test]
fn filters_and_pages_find_what_they_should() {
    on_both("filters_and_pages_find_what_they_should", quick(), |rig| {
        let mut payloads = Vec::new();
        for number in 0..300 {
            payloads.push(event(&format!("c{number}"), "14102100", |e| {
                e.insert("click".to_owned(), (number + 2).into());
            }));
            payloads.push(event(&format!("b{number}"), "14102100", |e| {
                e.insert("banner_pos".to_owned(), (number + 200).into());
            }));
        }
        payloads.push(b"{ needle".to_vec());
        rig.start(1);
        rig.send(&payloads);
        rig.await_number("select count(*) from errors.dlq_errors", 601);
        let of = |filter: Filter| rig.errors(&filter).len();
        assert_eq!(of(Filter::default()), 601);
        assert_eq!(of(Filter { field: vec!["click".to_owned()], ..Filter::default() }), 300);
        assert_eq!(of(Filter { error_type: vec!["parse".to_owned()], ..Filter::default() }), 1);
        assert_eq!(of(Filter { text: Some("needle".to_owned()), ..Filter::default() }), 1);
        assert_eq!(of(Filter { text: Some("banner_pos 25".to_owned()), ..Filter::default() }), 10);
        assert_eq!(of(Filter { topic: Some("ad_events".to_owned()), ..Filter::default() }), 601);
        assert_eq!(of(Filter { topic: Some("file:".to_owned()), ..Filter::default() }), 0);
        assert_eq!(of(Filter { status: vec![Status::Pending], ..Filter::default() }), 0);
        assert_eq!(of(Filter { since: Some("2020-01-01 00:00:00".to_owned()), ..Filter::default() }), 601);
        assert_eq!(of(Filter { until: Some("2020-01-01 00:00:00".to_owned()), ..Filter::default() }), 0);
        assert!(
            adpipe_dlq::report::list(
                &rig.dlq,
                &Filter { since: Some("soon".to_owned()), ..Filter::default() },
                None,
                5
            )
            .is_err()
        );

        // Page after page, each error once, the newest first.
        let filter = Filter { field: vec!["click".to_owned()], ..Filter::default() };
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = adpipe_dlq::report::list(&rig.dlq, &filter, after.as_deref(), 70).unwrap();
            assert_eq!(page.total, Some(300));
            seen.extend(page.errors.into_iter().map(|error| error.error_id));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen.len(), 300);
        assert!(seen.is_sorted_by(|a, b| a > b));
        // By bytes as well: fewer on a page, and none is passed over.
        let (mut seen, mut after, mut pages) = (Vec::new(), None, 0);
        loop {
            let page = adpipe_dlq::report::list_within(&rig.dlq, &filter, after.as_deref(), 70, 20_000);
            let page = page.unwrap();
            assert!((1..=40).contains(&page.errors.len()), "{}", page.errors.len());
            seen.extend(page.errors.into_iter().map(|error| error.error_id));
            (after, pages) = (page.next, pages + 1);
            if after.is_none() {
                break;
            }
        }
        assert!(seen.len() == 300 && seen.is_sorted_by(|a, b| a > b), "{} on {pages} pages", seen.len());
        // Values differ, the cause is one.
        assert_eq!(adpipe_dlq::report::groups(&rig.dlq).unwrap().len(), 3);
    });
}
