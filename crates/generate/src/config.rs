//! What to generate, and the check that it can be generated.

use thiserror::Error;

use crate::text::{DAY_MS, HOUR_MS};

/// 2000-01-01T00:00:00Z, the first instant `YYMMDDHH` can name.
const MIN_TIME_MS: i64 = 946_684_800_000;
/// 2100-01-01T00:00:00Z, the first instant `YYMMDDHH` can no longer name.
const MAX_TIME_MS: i64 = 4_102_444_800_000;

/// The earliest a `future` record lies after the clock.
pub(crate) const FUTURE_FROM_MS: i64 = 2 * HOUR_MS;
/// The latest a `future` record lies after the clock.
pub(crate) const FUTURE_TO_MS: i64 = 2 * DAY_MS;

/// Wire format of the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// One JSON object per line.
    #[default]
    Ndjson,
    /// Comma-separated cells in Avazu's order, under a header line.
    Csv,
}

/// How the event time is written in the field `hour`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TimeFormat {
    /// ISO 8601 in UTC with milliseconds: `2026-11-20T13:05:07.123Z`.
    #[default]
    Iso,
    /// Avazu's `YYMMDDHH`: minutes and less are lost.
    AvazuHour,
}

/// How the id is written in JSON (CSV knows no difference).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IdFormat {
    /// A JSON string.
    #[default]
    Text,
    /// A JSON number up to 2^64 - 1; readers that hold numbers as doubles lose its last digits.
    Number,
}

/// What to generate. The same values give the same bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Seeds every choice, and the ids: two runs that feed one warehouse need two seeds.
    pub seed: u64,
    /// First event time, ms since 1970 UTC, included.
    pub start_ms: i64,
    /// Last event time, ms since 1970 UTC, excluded.
    pub end_ms: i64,
    /// How many records, of whatever kind. They are spread over the time range in order. `None`
    /// never ends: times are then drawn over the range at random and out of order.
    pub rows: Option<u64>,
    /// The clock of the reader of the records: `future` records lie 2 to 48 hours after it. `None`
    /// takes [`Config::end_ms`].
    pub now_ms: Option<i64>,
    /// Share of broken records, 0 to 1. They take turns through all error types and variants.
    pub bad: f64,
    /// Share of records that repeat an earlier valid event, 0 to 1. As long as there is no event
    /// to repeat, a valid one is generated instead.
    pub duplicates: f64,
    /// Wire format.
    pub format: Format,
    /// How times are written.
    pub time_format: TimeFormat,
    /// How ids are written in JSON.
    pub id_format: IdFormat,
}

impl Default for Config {
    /// 100,000 faultless NDJSON records over the ten days of the Avazu data (2014-10-21 to 30).
    fn default() -> Self {
        Self {
            seed: 1,
            start_ms: 1_413_849_600_000,
            end_ms: 1_414_713_600_000,
            rows: Some(100_000),
            now_ms: None,
            bad: 0.0,
            duplicates: 0.0,
            format: Format::default(),
            time_format: TimeFormat::default(),
            id_format: IdFormat::default(),
        }
    }
}

/// A [`Config`] that cannot be followed.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum ConfigError {
    /// A share is not a number from 0 to 1.
    #[error("{name} must be a share from 0 to 1, not {value}")]
    Share {
        /// `bad` or `duplicates`.
        name: &'static str,
        /// The value given.
        value: f64,
    },
    /// The shares leave less than nothing for valid events.
    #[error("bad ({bad}) and duplicates ({duplicates}) together must not exceed 1")]
    ShareSum {
        /// [`Config::bad`].
        bad: f64,
        /// [`Config::duplicates`].
        duplicates: f64,
    },
    /// The time range is empty.
    #[error("start ({start_ms} ms) must be before end ({end_ms} ms)")]
    EmptyRange {
        /// [`Config::start_ms`].
        start_ms: i64,
        /// [`Config::end_ms`].
        end_ms: i64,
    },
    /// A time, or the `future` times after the clock, lies outside the years 2000 to 2099.
    #[error("{name} ({value_ms} ms) must leave all times within the years 2000 to 2099")]
    TimeOutOfRange {
        /// `start`, `end` or `now`.
        name: &'static str,
        /// The value given.
        value_ms: i64,
    },
}

impl Config {
    /// The clock of the reader of the records.
    pub(crate) fn clock_ms(&self) -> i64 {
        self.now_ms.unwrap_or(self.end_ms)
    }

    /// Checks what [`crate::Generator`] relies on.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        for (name, value) in [("bad", self.bad), ("duplicates", self.duplicates)] {
            if !(0.0..=1.0).contains(&value) {
                return Err(ConfigError::Share { name, value });
            }
        }
        // 0.7 and 0.3 and their like may add up to a hair more than 1.
        if self.bad + self.duplicates > 1.0 + 1e-9 {
            return Err(ConfigError::ShareSum { bad: self.bad, duplicates: self.duplicates });
        }
        if self.start_ms >= self.end_ms {
            return Err(ConfigError::EmptyRange { start_ms: self.start_ms, end_ms: self.end_ms });
        }
        let latest_now_ms = MAX_TIME_MS - FUTURE_TO_MS;
        for (name, value_ms, latest_ms) in [
            ("start", self.start_ms, MAX_TIME_MS),
            ("end", self.end_ms, MAX_TIME_MS),
            ("now", self.clock_ms(), latest_now_ms),
        ] {
            if !(MIN_TIME_MS..=latest_ms).contains(&value_ms) {
                return Err(ConfigError::TimeOutOfRange { name, value_ms });
            }
        }
        Ok(())
    }
}

impl Format {
    /// The header line, without its newline, for a format that has one.
    pub fn header(self) -> Option<&'static str> {
        match self {
            Self::Ndjson => None,
            Self::Csv => Some(crate::event::CSV_HEADER),
        }
    }
}

/// `next_at` takes its clock from the caller; this keeps it inside what can be written.
pub(crate) fn clamp_clock(now_ms: i64) -> i64 {
    now_ms.clamp(MIN_TIME_MS, MAX_TIME_MS - FUTURE_TO_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_is_accepted() {
        assert_eq!(Config::default().check(), Ok(()));
    }

    #[test]
    fn shares_are_checked() {
        for value in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            let bad = Config { bad: value, ..Config::default() };
            assert!(matches!(bad.check(), Err(ConfigError::Share { name: "bad", .. })));
            let duplicates = Config { duplicates: value, ..Config::default() };
            assert!(matches!(duplicates.check(), Err(ConfigError::Share { name: "duplicates", .. })));
        }
        let both = Config { bad: 0.6, duplicates: 0.6, ..Config::default() };
        assert!(matches!(both.check(), Err(ConfigError::ShareSum { .. })));
    }

    #[test]
    fn times_are_checked() {
        let empty = Config { end_ms: Config::default().start_ms, ..Config::default() };
        assert!(matches!(empty.check(), Err(ConfigError::EmptyRange { .. })));
        let ancient = Config { start_ms: 0, ..Config::default() };
        assert!(matches!(ancient.check(), Err(ConfigError::TimeOutOfRange { name: "start", .. })));
        let distant = Config { now_ms: Some(MAX_TIME_MS), ..Config::default() };
        assert!(matches!(distant.check(), Err(ConfigError::TimeOutOfRange { name: "now", .. })));
    }
}
