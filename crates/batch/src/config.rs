//! What a run of batch is to do.

use std::path::PathBuf;
use std::time::Duration;

use adpipe_event::{ErrorLimit, FieldMap};

/// What a run is to do.
#[derive(Debug, Clone)]
pub struct EtlConfig {
    /// Where raw files lie, and what their names are relative to.
    pub raw_folder: PathBuf,
    /// Files and folders to read instead.
    pub named: Vec<PathBuf>,
    /// Only files whose names say this date (`YYYY-MM-DD`).
    pub date: Option<String>,
    /// Read files again that are known.
    pub force: bool,
    /// Validate and report only.
    pub dry_run: bool,
    /// Of a longer record only the beginning is kept, and it is in error.
    pub max_record_bytes: usize,
    /// How far ahead of the clock an event's time may be.
    pub max_future: Duration,
    /// Which fields of the input give those of an event.
    pub fields: FieldMap,
    /// How long figures by the minute are kept, counted back from the newest.
    pub minutes: Duration,
    /// How long events stay in `realtime.events`, counted back from the newest.
    pub hot: Duration,
    /// An hour that came by stream is archived when it ended this long ago.
    pub close_after: Duration,
    /// New events of one transaction: those of a day are one file of the archive.
    pub segment_rows: u64,
    /// So many files of a day with few rows are merged.
    pub merge_files: u64,
    /// The run ends when it meets more invalid rows than this.
    pub max_errors: Option<ErrorLimit>,
}
