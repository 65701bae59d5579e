//! Files, pipes and standard input into the log, each from where it was left.
//!
//! `source.rs` opens an input, decompresses it and finds its format; `live_input.rs` reads one that
//! may pause; `run.rs` takes the records of one source; `appender.rs` appends them, slowed down by the
//! processor; `check.rs` stops where too many are invalid.

mod appender;
mod check;
mod error;
mod live_input;
mod run;
mod source;

use std::error::Error;

use adpipe_event::{FieldMap, Format};
use adpipe_log::EventLog;
use adpipe_metrics::Metrics;
use adpipe_runtime::Shutdown;

use crate::lag::LagGauge;
pub use check::{Checker, InvalidRecord};
pub use error::IngestError;
pub use source::Source;

/// Whether anybody counts what is in the log, so that waiting makes sense.
pub type ProcessorCheck<'a> = dyn Fn() -> Result<bool, Box<dyn Error + Send + Sync>> + 'a;

/// Takes sources into a log, one after the other.
pub struct FileIngest<'a> {
    /// Where the records go.
    pub log: &'a dyn EventLog,
    /// Counts them.
    pub metrics: &'a Metrics,
    /// Says how many wait for the processor.
    pub lag: &'a LagGauge,
    /// While so many wait, no more are added.
    pub max_lag_records: u64,
    /// Asked before waiting for the processor.
    pub has_processor: &'a ProcessorCheck<'a>,
    /// Longest record; of a longer one the beginning is kept, as an error to be.
    pub max_record_bytes: usize,
    /// Which fields of the input give those of an event.
    pub fields: &'a FieldMap,
    /// None: by the first bytes and the name of a source.
    pub format: Option<Format>,
    /// Ends it: what is kept can be gone on from.
    pub shutdown: &'a Shutdown,
}

/// What became of the sources so far.
#[derive(Default)]
pub struct Ingested {
    /// Records appended.
    pub records: u64,
    /// Of these, records of which only the beginning is kept.
    pub too_long: u64,
    /// Records that were in the log before and were not appended again.
    pub resumed_from: u64,
    /// Looks at each record, where only so many may be invalid.
    pub checker: Option<Checker>,
}

/// How a source came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// All of it is durable.
    Whole,
    /// The switch was turned on before that.
    Interrupted,
    /// More records were invalid than may be; those before are durable.
    TooManyInvalid,
}

/// What happens in the meantime, for display.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// This many records of the source were appended before; it continues after them.
    Resumes {
        /// The last record that is in the log.
        record: u64,
    },
    /// The source has no bytes.
    Empty,
    /// Nothing is added while so many records wait for the processor.
    Waits {
        /// Records that are not counted yet.
        records: u64,
    },
    /// More was appended.
    Appended {
        /// Records of all sources so far.
        records: u64,
    },
}

impl FileIngest<'_> {
    /// Appends the records of one source, from where it was left. `show` gets what happens in the
    /// meantime.
    ///
    /// # Errors
    /// [`IngestError`]; what could be read before it is in the log.
    pub fn ingest(
        &self,
        source: Source,
        ingested: &mut Ingested,
        show: &dyn Fn(Notice),
    ) -> Result<Ended, IngestError> {
        run::ingest(self, source, ingested, show)
    }
}
