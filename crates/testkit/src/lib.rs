//! Real servers for tests, started on free loopback ports and gone with the test.
//!
//! A server that is not installed skips the test with a word on stderr, and fails it where the
//! environment says `CI=true`: there a skipped test is a lie.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code: a panic is the report"
)]

pub mod postgres;

/// Skips `test` because `what` is not installed; panics under `CI=true`.
pub fn skip(test: &str, what: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{test}: {what} is not installed and CI=true");
    eprintln!("SKIPPED {test}: {what} is not installed");
}

/// A loopback port that nobody listened on a moment ago.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}
