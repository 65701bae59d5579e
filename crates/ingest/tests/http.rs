//! Events in over HTTP: every format and compression arrives byte for byte, and what cannot be
//! taken is refused with a reason.

mod common;

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use adpipe_generate::Format;
use adpipe_ingest::EventsConfig;
use adpipe_ingest::http::ServerConfig;
use adpipe_log::{
    AppendTicket, Consumer, EventLog, LogError, LogIdentity, Offset, PartitionRange, RecordBatch, Records,
    RetentionPolicy, Retired, SourcePosition, Topic, header,
};
use adpipe_testkit::raw_http::{Answer, head};
use adpipe_testkit::rig::Draft;
use adpipe_testkit::{assert_in_time, eventually};
use common::{Harness, Setup, events, gzip, setup, sorted_lines, taking, zstd};

/// Headers, body, the payloads that must be in the log.
type Case<'a> = (&'a [(&'a str, &'a str)], Vec<u8>, &'a [Vec<u8>]);

#[test]
fn every_format_and_compression_arrives_byte_for_byte() {
    let ndjson = events(500, Format::Ndjson);
    let lines = sorted_lines(&ndjson);
    // Broken records would break the brackets of an array, so it gets a sound one.
    let sound = br#"{"id":"a","click":1}"#.to_vec();
    let array = [b"[".as_slice(), &sound, b" , ", &sound, b"]"].concat();
    let cases: [Case<'_>; 8] = [
        (&[("Content-Type", "application/x-ndjson")], ndjson.clone(), &lines),
        (&[], ndjson.clone(), &lines),
        (&[("Content-Encoding", "gzip")], gzip(&ndjson), &lines),
        (&[("Content-Encoding", "zstd")], zstd(&ndjson), &lines),
        (&[("Content-Type", "application/x-www-form-urlencoded")], gzip(&ndjson), &lines),
        (&[], zstd(&ndjson), &lines),
        (
            &[("Content-Type", "application/json; charset=utf-8")],
            array.clone(),
            &[sound.clone(), sound.clone()],
        ),
        (&[], array, &[sound.clone(), sound]),
    ];
    for (headers, body, expected) in cases {
        let harness = Harness::start(setup());
        let answer = harness.post(headers, &body);
        assert_eq!(answer.status, 202, "{headers:?}: {}", answer.text());
        assert_eq!(answer.json()["accepted"], expected.len());
        assert!(harness.payloads(Topic::Raw) == expected, "{headers:?}");
    }
}

#[test]
fn csv_rows_carry_their_columns() {
    let harness = Harness::start(setup());
    let csv = events(300, Format::Csv);
    let (columns, rows) = csv.split_at(csv.iter().position(|byte| *byte == b'\n').unwrap());
    for headers in [&[("Content-Type", "text/csv")][..], &[]] {
        assert_eq!(harness.post(headers, &csv).json()["accepted"], 300);
    }
    let records = harness.records(Topic::Raw);
    for Draft { key, payload, headers } in &records {
        assert_eq!(headers.text(header::FORMAT), Some("csv"));
        assert_eq!(headers.get(header::COLUMNS), Some(columns));
        assert!(payload.starts_with(key), "{}", String::from_utf8_lossy(payload));
    }
    let mut expected = sorted_lines(rows);
    expected.extend(expected.clone());
    expected.sort();
    assert!(harness.payloads(Topic::Raw) == expected);
}

#[test]
fn a_long_body_goes_in_by_slices() {
    let harness = Harness::start(setup());
    let ndjson = events(30_000, Format::Ndjson);
    assert!(ndjson.len() > 12 << 20);
    let answer = harness.post(&[("Content-Encoding", "gzip")], &gzip(&ndjson));
    assert_eq!((answer.status, &answer.json()["accepted"]), (202, &30_000.into()));
    assert!(harness.payloads(Topic::Raw) == sorted_lines(&ndjson));

    // Damage far after the first slice: nothing of it may be in the log.
    let mut damaged = gzip(&ndjson);
    let end = damaged.len() - 2_000;
    damaged.truncate(end);
    assert_eq!(harness.post(&[], &damaged).status, 400);
    assert_eq!(harness.records(Topic::Raw).len(), 30_000);
}

/// A log that has no room for a while, each time again.
struct Crowded {
    log: Arc<dyn EventLog>,
    /// Appends refused as busy since the last one that was taken.
    refused: AtomicUsize,
    /// Refusals before the first append of all, and before each later one.
    refusals: (usize, usize),
    taken: AtomicUsize,
}

impl EventLog for Crowded {
    fn identity(&self) -> Result<LogIdentity, LogError> {
        self.log.identity()
    }

    fn is_dense(&self) -> bool {
        self.log.is_dense()
    }

    fn append(
        &self,
        topic: Topic,
        records: Records,
        position: Option<SourcePosition>,
    ) -> Result<AppendTicket, LogError> {
        let is_first = self.taken.load(Ordering::Acquire) == 0;
        let refusals = if is_first { self.refusals.0 } else { self.refusals.1 };
        if self.refused.fetch_add(1, Ordering::AcqRel) < refusals {
            return Err(LogError::Busy { queued_bytes: 1 });
        }
        self.refused.store(0, Ordering::Release);
        self.taken.fetch_add(1, Ordering::AcqRel);
        self.log.append(topic, records, position)
    }

    fn ranges(&self, topic: Topic) -> Result<Vec<PartitionRange>, LogError> {
        self.log.ranges(topic)
    }

    fn read(
        &self,
        topic: Topic,
        partition: u32,
        from: Offset,
        max_bytes: usize,
    ) -> Result<Vec<RecordBatch>, LogError> {
        self.log.read(topic, partition, from, max_bytes)
    }

    fn consume(&self, topic: Topic) -> Result<Box<dyn Consumer>, LogError> {
        self.log.consume(topic)
    }

    fn source_position(&self, source: &str) -> Result<Option<u64>, LogError> {
        self.log.source_position(source)
    }

    fn retire(&self, policy: RetentionPolicy, floors: &[(Topic, u32, Offset)]) -> Result<Retired, LogError> {
        self.log.retire(policy, floors)
    }

    fn location(&self) -> String {
        self.log.location()
    }
}

fn crowded(first: usize, later: usize) -> Harness {
    Harness::start_with(setup(), |log| {
        Arc::new(Crowded {
            log,
            refused: AtomicUsize::new(0),
            refusals: (first, later),
            taken: AtomicUsize::new(0),
        })
    })
}

#[test]
fn a_body_is_never_half_stored_because_the_log_is_busy() {
    let ndjson = events(30_000, Format::Ndjson);
    let body = gzip(&ndjson);
    // The first slice may be refused, as nothing of the body is stored then.
    let harness = crowded(usize::MAX, 0);
    assert_eq!(harness.post(&[], &body).status, 429);
    assert!(harness.records(Topic::Raw).is_empty());

    // A later one is waited for, however often the log says that it is busy.
    let harness = crowded(0, 20);
    let answer = harness.post(&[], &body);
    assert_eq!((answer.status, &answer.json()["accepted"]), (202, &30_000.into()), "{}", answer.text());
    assert!(harness.payloads(Topic::Raw) == sorted_lines(&ndjson));
}

#[test]
fn a_record_that_is_too_long_is_kept_as_its_beginning() {
    let harness = Harness::start(taking(EventsConfig { max_record_bytes: 1_000, ..EventsConfig::default() }));
    let body = format!("{{\"id\":\"1\"}}\n{{\"id\":\"2\",\"x\":\"{}\"}}\n", "y".repeat(5_000));
    assert_eq!(harness.post(&[], body.as_bytes()).json()["accepted"], 2);
    let records = harness.records(Topic::Raw);
    let record = records.iter().find(|record| record.key == b"2").unwrap();
    assert_eq!(record.payload.len(), 1_000);
    assert_eq!(record.headers.text(header::TRUNCATED_FROM), Some("5017"));
}

#[test]
fn wrong_bodies_are_refused_with_a_reason() {
    let harness = Harness::start(setup());
    let ndjson = events(50, Format::Ndjson);
    let mut cut = gzip(&ndjson);
    cut.truncate(cut.len() / 2);
    for (headers, body, status, reason) in [
        (&[][..], b"".to_vec(), 400, "empty"),
        (&[], b"  \n\n ".to_vec(), 400, "no record"),
        (&[("Content-Type", "text/csv")], b"id,click\n1,0\n".to_vec(), 400, "csv: the header lacks"),
        (&[], cut, 400, "gzip"),
        (&[("Content-Encoding", "zstd")], ndjson.clone(), 400, "zstd"),
        (&[("Content-Encoding", "br")], ndjson, 415, "content-encoding"),
    ] {
        let answer = harness.post(headers, &body);
        assert_eq!(answer.status, status, "{}", answer.text());
        assert!(answer.error().contains(reason), "{}", answer.error());
    }
    assert!(harness.records(Topic::Raw).is_empty());
}

#[test]
fn too_large_is_said_before_the_body_is_read() {
    let harness = Harness::start(taking(EventsConfig { max_body_bytes: 100_000, ..EventsConfig::default() }));
    let mut stream = harness.connect();
    let announced = head("POST", "/v1/events", &[("Content-Length", "99999999999")]);
    stream.write_all(format!("{announced}\r\n").as_bytes()).unwrap();
    let answer = Answer::read(&mut stream);
    assert_eq!(answer.status, 413);
    assert!(answer.error().contains("100000 bytes"));

    // Who sends anyway is heard out for a while, so that the answer is not lost to a reset.
    let answer = harness.post(&[], &vec![b'x'; 20 << 20]);
    assert_eq!(answer.status, 413);

    // Unannounced, it is noticed on the way; the answer comes although more is being sent.
    let mut stream = harness.connect();
    let chunked = head("POST", "/v1/events", &[("Transfer-Encoding", "chunked")]);
    stream.write_all(format!("{chunked}\r\n").as_bytes()).unwrap();
    for _ in 0..40 {
        if stream.write_all(format!("2710\r\n{}\r\n", "x".repeat(10_000)).as_bytes()).is_err() {
            break;
        }
    }
    assert_eq!(Answer::read(&mut stream).status, 413);

    // A bomb: few bytes that would become many.
    let answer = harness.post(&[], &gzip(&vec![b'\n'; 3_000_000]));
    assert_eq!(answer.status, 413);
    assert!(answer.error().contains("decompressed"), "{}", answer.error());
    assert!(harness.records(Topic::Raw).is_empty());
}

#[test]
fn a_zstd_window_that_needs_too_much_memory_is_refused() {
    let harness = Harness::start(setup());
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(27).unwrap();
    encoder.write_all(&events(10, Format::Ndjson)).unwrap();
    let answer = harness.post(&[], &encoder.finish().unwrap());
    assert_eq!(answer.status, 400, "{}", answer.text());
}

#[test]
fn a_processor_that_is_behind_slows_the_senders() {
    let harness = Harness::start(taking(EventsConfig { max_lag_records: 100, ..EventsConfig::default() }));
    let ndjson = events(101, Format::Ndjson);
    assert_eq!(harness.post(&[], &ndjson).status, 202);
    // A measurement is used again for a while, and a post before its end would be taken.
    std::thread::sleep(Duration::from_millis(150));
    let answer = harness.post(&[], &ndjson);
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("1")));
    assert!(answer.error().contains("101 records wait"), "{}", answer.error());
    harness.process();
    eventually("it is taken", || harness.post(&[], &ndjson).status == 202);
}

#[test]
fn bodies_share_their_memory() {
    let harness = Harness::start(Setup { body_budget_bytes: 320 << 10, ..setup() });
    let mut slow = harness.connect();
    let request = head("POST", "/v1/events", &[("Content-Length", "250000"), ("Connection", "close")]);
    slow.write_all(format!("{request}\r\n").as_bytes()).unwrap();
    slow.write_all(&[b'x'; 200_000]).unwrap();
    // Nothing tells from outside when these bytes have been taken.
    std::thread::sleep(Duration::from_millis(500));
    let answer = harness.post(&[], &events(300, Format::Ndjson));
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("1")), "{}", answer.text());
    assert_eq!(harness.post(&[], b"{}").status, 202, "a small one finds room");
    // The one that was there first is served, and its memory comes back.
    slow.write_all(&[b'x'; 50_000]).unwrap();
    assert_eq!(Answer::read(&mut slow).status, 400, "the x are no csv header");
    assert_eq!(harness.post(&[], &events(300, Format::Ndjson)).status, 202);
}

#[test]
fn slow_senders_are_cut() {
    let harness = Harness::start(Setup {
        server: ServerConfig { header_timeout: Duration::from_millis(400), ..ServerConfig::default() },
        events: EventsConfig {
            body_pause: Duration::from_millis(300),
            body_deadline: Duration::from_millis(900),
            ..EventsConfig::default()
        },
        ..setup()
    });
    // Silence in the middle of a body.
    let mut paused = harness.connect();
    let request = head("POST", "/v1/events", &[("Content-Length", "100"), ("Connection", "close")]);
    paused.write_all(format!("{request}\r\n{{\"id\"").as_bytes()).unwrap();
    let answer = Answer::read(&mut paused);
    assert_eq!(answer.status, 408);
    assert!(answer.error().contains("in time"));

    // A byte now and then.
    let started = Instant::now();
    let mut dripping = harness.connect();
    dripping.write_all(format!("{request}\r\n").as_bytes()).unwrap();
    let mut writer = dripping.try_clone().unwrap();
    let drip = std::thread::spawn(move || {
        while writer.write_all(b"x").is_ok() && started.elapsed() < Duration::from_secs(60) {
            // Within the pause that a body may make.
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    assert_eq!(Answer::read(&mut dripping).status, 408);
    assert_in_time("the end of a body that drips", started.elapsed(), Duration::from_secs(3));
    drip.join().unwrap();

    // A header that never ends, and a connection that says nothing.
    for start in ["GET / HTTP/1.1\r\nHost: loc", ""] {
        let started = Instant::now();
        let mut stream = harness.connect();
        stream.write_all(start.as_bytes()).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
        assert_in_time(&format!("the end of {start:?}"), started.elapsed(), Duration::from_secs(3));
    }
}

#[test]
fn connections_beyond_the_limit_wait_for_a_place() {
    let server = ServerConfig { max_connections: 4, header_timeout: Duration::from_millis(300) };
    let harness = Harness::start(Setup { server, ..setup() });
    let idle: Vec<_> = (0..4).map(|_| harness.connect()).collect();
    // The idle ones are cut after a while; then there is a place.
    assert_eq!(harness.get("/healthz").status, 200);
    drop(idle);
}
