//! Ends a run that meets more invalid rows than the user allows.

use adpipe_event::ErrorLimit;

use crate::discover::RawFile;
use crate::parse::ParsedChunk;

/// A run that has met more invalid rows than it may take.
#[derive(Debug, Clone)]
pub struct OverLimit {
    /// The limit that was exceeded.
    pub limit: ErrorLimit,
    /// Invalid rows that were met, those that were not taken included.
    pub invalid: u64,
    /// All rows that were met.
    pub records: u64,
    /// File, row and reason of the first invalid row that was not taken; none when everything was
    /// read before the share was judged.
    pub place: Option<(String, u64, String)>,
}

/// Counts invalid rows in the order of the files.
pub(crate) struct ErrorGuard {
    limit: Option<ErrorLimit>,
    invalid: u64,
    records: u64,
    pub over: Option<OverLimit>,
}

impl ErrorGuard {
    pub fn new(limit: Option<ErrorLimit>) -> ErrorGuard {
        ErrorGuard { limit, invalid: 0, records: 0, over: None }
    }

    /// Whether a piece that begins at `first_row` may be taken. One that goes beyond the limit is not
    /// taken at all, so that a run never stores more invalid rows than it may.
    pub fn admits(&mut self, file: &RawFile, first_row: u64, parsed: &ParsedChunk) -> bool {
        let invalid_before = self.invalid;
        self.invalid += parsed.failed.len() as u64;
        self.records += parsed.counts.records;
        let Some(limit) = self.limit.filter(|limit| !limit.allows(self.invalid, self.records, false)) else {
            return true;
        };
        let beyond = match limit {
            ErrorLimit::Count(most) => most.saturating_sub(invalid_before) as usize,
            ErrorLimit::Percent(_) => 0,
        };
        let place = parsed
            .failed
            .get(beyond)
            .map(|failed| (file.name.clone(), first_row + failed.row, failed.error.message.clone()));
        self.over = Some(OverLimit { limit, invalid: self.invalid, records: self.records, place });
        false
    }

    /// Judges a share once everything was read.
    pub fn judge_whole(&mut self) {
        if let Some(limit) = self.limit.filter(|limit| !limit.allows(self.invalid, self.records, true)) {
            let (invalid, records) = (self.invalid, self.records);
            self.over.get_or_insert(OverLimit { limit, invalid, records, place: None });
        }
    }
}
