//! What is refused, byte by byte on the connection: no body is taken for a request, no name slips
//! through, and guesses are slowed down.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

mod common;

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use adpipe_console::ConsoleConfig;
use adpipe_ingest::EventsConfig;
use adpipe_ingest::http::ServerConfig;
use adpipe_log::Topic;
use adpipe_testkit::raw_http::{Answer, head};
use adpipe_testkit::{eventually, eventually_some};
use common::{Harness, config};

/// Sends raw bytes and gives everything that comes back until the connection ends.
fn exchange(harness: &Harness, request: &[u8]) -> String {
    let mut stream = harness.connect();
    // The answer may come, and the connection end, before all is sent.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn answers_in(text: &str) -> usize {
    text.matches("HTTP/1.1 ").count()
}

const NDJSON: &[(&str, &str)] = &[("Content-Type", "application/x-ndjson")];

const SMUGGLED: &str = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[test]
fn an_unread_body_is_never_taken_for_a_request() {
    let config = ConsoleConfig {
        events: EventsConfig { max_body_bytes: 10_000, max_record_bytes: 1_000, ..EventsConfig::default() },
        ..config()
    };
    let harness = Harness::start(config);
    let smuggled = SMUGGLED.repeat(3);
    let large = "x".repeat(20_000);
    for (status, method, target, headers, body) in [
        (403, "POST", "/v1/events", "Origin: http://evil.example\r\n", &smuggled),
        (403, "POST", "/api/dlq/retry", "", &smuggled),
        (404, "POST", "/nowhere", "", &smuggled),
        (405, "PUT", "/v1/events", "", &smuggled),
        (405, "POST", "/metrics", "", &smuggled),
        (413, "POST", "/v1/events", "", &large),
        (415, "POST", "/v1/events", "Content-Encoding: br\r\n", &smuggled),
        (421, "POST", "/v1/events", "Host: evil.example\r\n", &smuggled),
    ] {
        let host = if headers.contains("Host") { "" } else { "Host: localhost\r\n" };
        let whole = |framing: String, body: &str| {
            format!("{method} {target} HTTP/1.1\r\n{host}{headers}{framing}\r\n{body}{SMUGGLED}")
        };
        let announced = whole(format!("Content-Length: {}\r\n", body.len()), body);
        let chunks = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
        let chunked = whole("Transfer-Encoding: chunked\r\n".to_owned(), &chunks);
        for request in [announced, chunked] {
            let answer = exchange(&harness, request.as_bytes());
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{status} {target}: {answer}");
            assert_eq!(answers_in(&answer), 1, "{status} {target}: {answer}");
            let head = answer.split("\r\n\r\n").next().unwrap();
            assert!(head.contains("connection: close"), "{status} {target}: {answer}");
        }
    }
    assert!(harness.records(Topic::Raw).is_empty());
}

#[test]
fn the_answer_is_seen_although_much_is_still_sent() {
    let harness = Harness::start(config());
    for (target, headers) in
        [("/v1/events", "Content-Encoding: br\r\n"), ("/api/dlq/retry", ""), ("/metrics", "")]
    {
        let body = vec![b'x'; 6 << 20];
        let mut request = format!(
            "POST {target} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        request.extend(body);
        let answer = exchange(&harness, &request);
        assert!(answer.starts_with("HTTP/1.1 4"), "{target}: {answer:?}");
    }
}

#[test]
fn a_body_that_was_read_keeps_the_connection() {
    let harness = Harness::start(config());
    let body = r#"{"id":"1"}"#;
    let request = format!("{}Content-Length: {}\r\n\r\n{body}", head("POST", "/v1/events", &[]), body.len());
    let last = format!("{}Connection: close\r\n\r\n", head("GET", "/healthz", &[]));
    let answer = exchange(&harness, format!("{request}{request}{last}").as_bytes());
    assert_eq!((answers_in(&answer), answer.matches(" 202 ").count()), (3, 2), "{answer}");
    assert_eq!(harness.records(Topic::Raw).len(), 2);
}

#[test]
fn a_request_has_one_host_and_it_is_ours() {
    let harness = Harness::start(config());
    for (status, hosts) in [
        (200, "Host: localhost\r\n"),
        (200, "Host: [::1]:8088\r\n"),
        (421, "Host: evil.example\r\n"),
        (421, "Host:\r\n"),
        (400, ""),
        (400, "Host: localhost\r\nHost: localhost\r\n"),
        (400, "Host: localhost\r\nHost: evil.example\r\n"),
        (400, "Host: [::1]evil.example\r\n"),
        (400, "Host: [::1]:80evil.example\r\n"),
        (400, "Host: localhost:80@evil.example\r\n"),
        (400, "Host: localhost, evil.example\r\n"),
    ] {
        for version in ["HTTP/1.1", "HTTP/1.0"] {
            let request = format!("GET /healthz {version}\r\n{hosts}Connection: close\r\n\r\n");
            let answer = exchange(&harness, request.as_bytes());
            let found = answer.split(' ').nth(1).unwrap_or_default();
            assert_eq!(found, status.to_string(), "{hosts:?} {version}: {answer}");
        }
    }
    for (status, target) in [(200, "http://localhost/healthz"), (400, "http://evil.example/healthz")] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let answer = exchange(&harness, request.as_bytes());
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{target}: {answer}");
    }
}

#[test]
fn header_limits_are_those_of_the_docs() {
    let harness = Harness::start(config());
    let status = |head: String| {
        let answer = exchange(&harness, format!("{head}Connection: close\r\n\r\n").as_bytes());
        answer.split(' ').nth(1).unwrap_or_default().to_owned()
    };
    let filled = |bytes: usize| head("GET", "/healthz", &[("X-Fill", &"x".repeat(bytes))]);
    assert_eq!(status(filled(30_000)), "200");
    assert_eq!(status(filled(40_000)), "431");
    let lines = |count: usize| {
        let many: String = (0..count).map(|number| format!("X-{number}: 1\r\n")).collect();
        head("GET", "/healthz", &[]) + &many
    };
    // Host and connection are lines, too.
    assert_eq!(status(lines(98)), "200");
    assert_eq!(status(lines(99)), "431");
    assert_eq!(status(head("GET", &format!("/healthz?{}", "x".repeat(30_000)), &[])), "200");
    assert_eq!(status(head("GET", &format!("/healthz?{}", "x".repeat(40_000)), &[])), "431");
}

#[test]
fn guesses_at_the_token_are_slowed_down() {
    const TOKEN: &str = "0123456789abcdef";
    let harness = Harness::start(ConsoleConfig { token: Some(TOKEN.to_owned()), ..config() });
    let show =
        |token: &str| harness.send("GET", "/metrics", &[("Authorization", &format!("Bearer {token}"))], b"");
    // The same wrong one again and again is not a guess.
    for _ in 0..50 {
        assert_eq!(show("the-token-of-last-week").status, 401);
    }
    assert_eq!(show(TOKEN).status, 200);
    let (mut refused, started) = (0, Instant::now());
    for guess in 0..100 {
        let answer = show(&format!("guess-{guess}"));
        match answer.status {
            401 => {}
            429 => {
                assert!(answer.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
                refused += 1;
            }
            other => panic!("{other}: {}", answer.text()),
        }
    }
    let waited = started.elapsed().as_secs();
    assert!(refused + 12 + waited >= 100, "{refused} of 100 guesses were refused");
    // Meanwhile not even the right one is compared, or a guess would be seen to be right.
    if started.elapsed() < Duration::from_millis(700) {
        assert_eq!(show(TOKEN).status, 429);
    }
    assert_eq!(harness.get("/healthz").status, 200);
    assert_eq!(harness.get("/metrics").status, 401, "no token is no guess");
    eventually("the right token is let in again", || show(TOKEN).status == 200);
}

#[test]
fn errors_that_wait_for_the_queue_slow_the_senders() {
    let harness = Harness::start(ConsoleConfig {
        events: EventsConfig { max_lag_records: 100, ..EventsConfig::default() },
        ..config()
    });
    for _ in 0..2 {
        assert_eq!(harness.post(NDJSON, &b"[]\n".repeat(60)).status, 202);
        harness.process();
        // A measurement is used again for a while.
        std::thread::sleep(Duration::from_millis(150));
    }
    // Nobody stores the errors here.
    let answer = eventually_some("a post is refused", || {
        let answer = harness.post(NDJSON, b"[]\n");
        (answer.status == 429).then_some(answer)
    });
    assert!(answer.error().contains("errors for the dead-letter queue"), "{}", answer.error());
}

#[test]
fn beyond_its_places_the_console_says_so() {
    let server = ServerConfig { max_connections: 3, header_timeout: Duration::from_secs(30) };
    let config = ConsoleConfig { server, ..config() };
    let harness = Harness::start(config);
    // The third is for other senders.
    let mut held: Vec<_> = (0..2).map(|_| harness.connect()).collect();
    for stream in &mut held {
        // Once it is answered it has its place.
        stream.write_all(format!("{}\r\n", head("GET", "/healthz", &[])).as_bytes()).unwrap();
        assert!(stream.read(&mut [0; 1_000]).unwrap() > 0);
    }
    let answer = Answer::read(&mut harness.connect());
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    assert!(answer.error().contains("too many connections"), "{}", answer.error());
    drop(held);
    assert_eq!(harness.get("/healthz").status, 200);
}
