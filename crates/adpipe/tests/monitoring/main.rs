//! The configuration of Prometheus, Alertmanager and Grafana, on the real ones (Grafana's linter
//! stands in for Grafana), and a scripted incident told by both ways.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

#[path = "../common/mod.rs"]
mod common;

mod configuration;
mod files;
mod incident;
mod scrape;
mod setup;
