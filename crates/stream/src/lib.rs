//! The stream processor: effectively once from the log into the warehouse.
//!
//! Two threads and a short queue between them. [`intake`] reads the log ([`reading`]), parses, validates and
//! fills columnar [`MicroBatch`](adpipe_counting::micro_batch::MicroBatch)es; [`processor`] makes each of them one
//! warehouse transaction: claim the offsets, insert the events, add the metrics, record the
//! account. Offsets live in that transaction, so a crash at any instant leaves either all of a
//! batch or nothing, and the same records are read again.
//!
//! Open `processor.rs` first: `apply` shows the whole promise on one screen.

pub mod backlog;
pub mod housekeeping;
mod in_error;
mod intake;
pub mod processor;
mod reading;
mod retries;
mod send_errors;
pub mod verify;

use std::sync::Arc;
use std::time::Duration;

use adpipe_event::FieldMap;
use adpipe_warehouse::ArchiveIds;

/// What may go wrong in a processor for good; what passes by itself is waited out.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The log cannot continue without intervention.
    #[error(transparent)]
    Log(#[from] adpipe_log::LogError),
    /// The warehouse cannot continue without intervention.
    #[error(transparent)]
    Warehouse(#[from] adpipe_warehouse::WarehouseError),
    /// A thread could not be started, or ended by a panic.
    #[error("stream processor: {0}")]
    Thread(String),
}

/// How the processor works.
#[derive(Debug, Clone)]
pub struct StreamConfig {
    /// A micro-batch is closed at this many records …
    pub batch_records: usize,
    /// … or this many payload bytes …
    pub batch_bytes: usize,
    /// … or when its first record has waited this long.
    pub linger: Duration,
    /// How far ahead of the clock an event's time may be.
    pub max_future: Duration,
    /// An event is late when its minute ended this long before the newest event time.
    pub allowed_lateness: Duration,
    /// Which fields of the input give those of an event.
    pub fields: FieldMap,
    /// Where ids of hours are read that are in the archive only; none where nothing is archived.
    pub archive: Option<Arc<dyn ArchiveIds>>,
}

impl Default for StreamConfig {
    fn default() -> StreamConfig {
        StreamConfig {
            batch_records: 50_000,
            batch_bytes: 8 << 20,
            linger: Duration::from_millis(100),
            max_future: Duration::from_secs(3_600),
            allowed_lateness: Duration::from_secs(300),
            fields: FieldMap::default(),
            archive: None,
        }
    }
}

impl From<adpipe_counting::CountingError> for StreamError {
    fn from(error: adpipe_counting::CountingError) -> StreamError {
        match error {
            adpipe_counting::CountingError::Log(error) => StreamError::Log(error),
            adpipe_counting::CountingError::Warehouse(error) => StreamError::Warehouse(error),
        }
    }
}
