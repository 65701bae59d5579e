//! The dead-letter queue. Every record that could not be counted is stored once, then retried,
//! repaired or discarded; every action is recorded.
//!
//! How an error moves:
//!
//! 1. [`consumer`] reads `ad_events_error` and stores each failure (`failure.rs`), grouped by its
//!    cause (`fingerprint.rs`);
//! 2. [`retry`] sends due errors to `ad_events_retry`. The stream processor counts them like any event
//!    and stores the outcome with the effect (`realtime.replays`); a second failure comes back through
//!    `ad_events_error`;
//! 3. people search ([`search`], [`report`]), edit ([`patch`], [`repair`]), retry and discard
//!    ([`actions`]), many errors at a time with [`jobs`];
//! 4. [`retention`] removes errors that were closed long ago.
//!
//! All of them share [`Dlq`]; [`role::run`] runs the whole queue. The counts of each group change in
//! the transaction that changes the errors (`groups.rs`). Open `role.rs` first.
#![forbid(unsafe_code)]

pub mod actions;
pub mod consumer;
mod content;
mod dry_run;
mod error;
mod failure;
mod fingerprint;
mod groups;
mod headers;
pub mod jobs;
pub mod patch;
mod queue;
pub mod repair;
pub mod report;
pub mod retention;
pub mod retry;
pub mod role;
mod row;
pub mod search;
pub mod sending;
mod settings;
mod status;
mod sums;
pub mod transfer;
pub mod voids;

pub use error::DlqError;
pub use fingerprint::mask;
pub use headers::{headers_from_json, headers_to_json};
pub use queue::Dlq;
pub use search::Filter;
pub use settings::DlqSettings;
pub use status::Status;
