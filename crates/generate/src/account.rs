//! What was generated, counted as it happens: the answer the pipeline is to arrive at.

use std::collections::BTreeMap;

/// What one generated record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecordKind {
    /// A valid event whose id was not used before.
    Valid,
    /// A byte-for-byte repeat of an earlier valid event.
    Duplicate,
    /// A broken record.
    Bad(BadKind),
}

/// The error type a broken record must be given (`docs/EVENTS.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BadKind {
    /// Not readable as a record.
    Parse,
    /// A field is missing or of the wrong type.
    Schema,
    /// A value is out of its range.
    Validation,
    /// The event time is too far ahead of the clock.
    Future,
}

impl BadKind {
    /// All of them, in the order in which a generator takes turns.
    pub const ALL: [BadKind; 4] = [Self::Parse, Self::Schema, Self::Validation, Self::Future];

    /// The name used as `error_type` in tables and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Parse => "parse",
            Self::Schema => "schema",
            Self::Validation => "validation",
            Self::Future => "future",
        }
    }
}

/// Broken records by error type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BadCounts {
    /// See [`BadKind::Parse`].
    pub parse: u64,
    /// See [`BadKind::Schema`].
    pub schema: u64,
    /// See [`BadKind::Validation`].
    pub validation: u64,
    /// See [`BadKind::Future`].
    pub future: u64,
}

impl BadCounts {
    /// The count of one error type.
    pub fn of(&self, kind: BadKind) -> u64 {
        match kind {
            BadKind::Parse => self.parse,
            BadKind::Schema => self.schema,
            BadKind::Validation => self.validation,
            BadKind::Future => self.future,
        }
    }

    /// All broken records together.
    pub fn total(&self) -> u64 {
        self.parse + self.schema + self.validation + self.future
    }

    fn add(&mut self, kind: BadKind) {
        let count = match kind {
            BadKind::Parse => &mut self.parse,
            BadKind::Schema => &mut self.schema,
            BadKind::Validation => &mut self.validation,
            BadKind::Future => &mut self.future,
        };
        *count += 1;
    }
}

/// Valid distinct events of one event hour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HourCount {
    /// Events.
    pub impressions: u64,
    /// Events with `click = 1`.
    pub clicks: u64,
}

/// Everything a generator has produced so far.
///
/// Always `total == valid + duplicates + bad.total()`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// Records of any kind.
    pub total: u64,
    /// Valid events, repeats not counted.
    pub valid: u64,
    /// Clicks among [`Account::valid`].
    pub clicks: u64,
    /// Repeats of earlier valid events.
    pub duplicates: u64,
    /// Broken records by error type.
    pub bad: BadCounts,
    /// [`Account::valid`] by event hour; the key is the start of the hour, ms since 1970 UTC.
    pub hours: BTreeMap<i64, HourCount>,
}

impl Account {
    /// Clicks / valid events; `None` before the first valid event.
    pub fn ctr(&self) -> Option<f64> {
        (self.valid > 0).then(|| self.clicks as f64 / self.valid as f64)
    }

    pub(crate) fn add_valid(&mut self, hour_ms: i64, click: bool) {
        let clicks = u64::from(click);
        self.total += 1;
        self.valid += 1;
        self.clicks += clicks;
        let hour = self.hours.entry(hour_ms).or_default();
        hour.impressions += 1;
        hour.clicks += clicks;
    }

    pub(crate) fn add_duplicate(&mut self) {
        self.total += 1;
        self.duplicates += 1;
    }

    pub(crate) fn add_bad(&mut self, kind: BadKind) {
        self.total += 1;
        self.bad.add(kind);
    }
}
