//! What tests share. [`eventually`] and its kin wait for a condition; [`seed`] and [`Dice`] are chance that
//! can be repeated; [`http`] is a client; [`rig`] is a pipeline in this process; [`assert_in_time`] judges
//! times on a busy machine. The other modules are real servers, started on free loopback ports in
//! folders of their own and gone with the test.
//!
//! If a program that a server needs is not installed, the test prints `SKIPPED` and passes, so that a
//! checkout can be tested anywhere; with `CI=true` it fails instead.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

pub mod airflow;
pub mod alertmanager;
pub mod browser;
pub mod dbt;
mod eventually;
pub mod exporters;
pub mod http;
pub mod kafka;
mod pace;
pub mod pgbouncer;
pub mod postgres;
pub mod prometheus;
pub mod proxy;
pub mod raw_http;
pub mod rig;
pub mod s3;
mod seed;
mod server;
mod skip;
pub mod slack;
pub mod texts;
pub mod venv;

pub use eventually::{PATIENCE, eventually, eventually_eq, eventually_some, eventually_within};
pub use pace::{allowance, assert_in_time};
pub use seed::{Dice, flips, seed};
pub use skip::skip;

/// A loopback port that nobody listened on a moment ago.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}
