//! Real servers for tests, started on free loopback ports in temporary folders and stopped with the
//! test.
//!
//! If a program that a server needs is not installed, the test prints `SKIPPED` and passes, so that a
//! checkout can be tested anywhere; with `CI=true` it fails instead.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

pub mod airflow;
pub mod alertmanager;
pub mod browser;
pub mod dbt;
pub mod exporters;
pub mod kafka;
pub mod pgbouncer;
pub mod postgres;
pub mod prometheus;
pub mod proxy;
pub mod raw_http;
pub mod s3;
mod seed;
mod server;
mod skip;
pub mod slack;
pub mod texts;
pub mod venv;

pub use seed::{flips, seed};
pub use server::get;
pub use skip::skip;

/// A loopback port that nobody listened on a moment ago.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}
