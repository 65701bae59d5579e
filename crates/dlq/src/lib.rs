//! The dead-letter queue: a place of work. Every record that could not be counted is stored once,
//! is tried again, repaired, or dismissed, and what was done about it stays on record.
//!
//! How an error moves:
//!
//! 1. [`consumer`] reads `ad_events_error` and stores each failure (`failure.rs`), grouped by its
//!    cause (`fingerprint.rs`);
//! 2. [`retry`] sends what is due to `ad_events_retry`, from where the stream processor counts it like
//!    any event; it leaves the outcome next to the effect (`realtime.replays`), and a second failure
//!    comes back through `ad_events_error`;
//! 3. people look ([`search`], [`report`]), edit ([`patch`], [`repair`]), retry and discard
//!    ([`actions`]), many at a time by [`jobs`];
//! 4. [`retention`] removes what was closed long ago.
//!
//! [`Dlq`] is what all of them share; [`role::run`] runs the whole queue. The counts of each
//! group change with the errors, in the same transaction (`groups.rs`). Open `role.rs` first.
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
