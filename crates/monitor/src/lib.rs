//! The alerts of the pipeline: notified early, once, and with the cause.
//!
//! - [`signal`]: what can be measured; [`figures`] measures it, `rules` reads the table of alerts
//!   (`config/alerts.toml`) that says when a measurement needs attention, and generates Prometheus'
//!   rules from the same table;
//! - `evaluate`: pending, firing, resolved; `store` keeps them in `ops.alerts`;
//! - [`processes`]: each process of the pipeline records that it is alive and what it uses; [`pulse`]:
//!   whether the warehouse answers;
//! - [`history`]: what was measured, for charts;
//! - `role`: measures, evaluates and announces, on one process at a time.
#![forbid(unsafe_code)]

mod alert;
pub mod announce;
pub mod error;
pub mod evaluate;
pub mod figures;
pub mod history;
mod journal;
mod leased_store;
mod machine;
pub mod processes;
pub mod prometheus_rules;
pub mod pulse;
pub mod role;
pub mod rules;
mod rules_file;
pub mod signal;
pub mod store;
pub mod unit;

pub use error::{MonitorError, RulesError};
