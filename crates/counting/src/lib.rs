//! From records to figures: what the stream processor, batch files and a rebuild do alike, so that an
//! event counts the same whichever way it came.
//!
//! - [`micro_batch`]: records are parsed into columns, or kept as failed.
//! - [`archived`]: which events the archive already has.
//! - [`windows`]: figures by minute and by hour.
//! - [`pending_errors`]: errors that are counted and not yet in the dead-letter queue.
//! - [`Check`]: one line of the proof that all of it adds up.
//!
//! Open `micro_batch.rs` first.
#![forbid(unsafe_code)]

pub mod archived;
mod check;
pub mod micro_batch;
pub mod pending_errors;
pub mod windows;

pub use check::Check;

/// The topics whose records are events: those that came in, and those that are tried again.
pub const TOPICS: [adpipe_log::Topic; 2] = [adpipe_log::Topic::Raw, adpipe_log::Topic::Retry];

/// Why log and warehouse could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum CountingError {
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] adpipe_log::LogError),
    /// The warehouse cannot be read.
    #[error(transparent)]
    Warehouse(#[from] adpipe_warehouse::WarehouseError),
}
