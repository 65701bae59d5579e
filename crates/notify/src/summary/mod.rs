//! The daily summary: what a day was like, and how it compares.

mod daily;
mod read;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use daily::{due_day, store_due};
pub use read::read;

/// Figures of a day, by event time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayFigures {
    /// Events.
    pub events: u64,
    /// Clicked ones.
    pub clicks: u64,
}

impl DayFigures {
    /// Clicks by events; none without events.
    pub fn ctr(self) -> Option<f64> {
        (self.events > 0).then(|| self.clicks as f64 / self.events as f64)
    }

    fn add(&mut self, other: DayFigures) {
        self.events += other.events;
        self.clicks += other.clicks;
    }
}

/// An hour of the day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HourFigures {
    /// Local time of its start: `14:00`.
    pub hour: String,
    /// Its start, UTC.
    pub starts_at: String,
    /// Counts and rates of that hour.
    #[serde(flatten)]
    pub figures: DayFigures,
}

/// A day of the trend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrendDay {
    /// YYYY-MM-DD.
    pub day: String,
    /// Counts and rates of that day.
    #[serde(flatten)]
    pub figures: DayFigures,
}

/// The dead-letter queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DlqFigures {
    /// Open errors, when the summary was made; exhausted ones among them.
    pub open: u64,
    /// Those that wait for a person, when the summary was made.
    pub exhausted: u64,
    /// Resolved on the day.
    pub resolved: u64,
    /// Discarded on the day.
    pub discarded: u64,
}

/// The hour in which events took longest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SlowestHour {
    /// Local time of its start.
    pub hour: String,
    /// So long took 95 % of its records at most, from append to commit, seconds.
    pub p95_seconds: f64,
}

/// The hour with most events, by event time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeakHour {
    /// Local time of its start.
    pub hour: String,
    /// Valid events of the hour.
    pub events: u64,
}

/// A rule's alerts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertCount {
    /// Name of the rule that fired.
    pub rule: String,
    /// Alerts that fired at some time of the day.
    pub times: u64,
    /// Those of them that still fired when the summary was made.
    pub firing: u64,
}

/// A day in figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// YYYY-MM-DD, in the time zone.
    pub day: String,
    /// IANA name.
    pub time_zone: String,
    /// First moment, UTC.
    pub from: String,
    /// First moment after it, UTC.
    pub until: String,
    /// Of the day.
    #[serde(rename = "figures")]
    pub day_figures: DayFigures,
    /// Of the day before.
    pub day_before: DayFigures,
    /// Of the same weekday a week before.
    pub week_before: DayFigures,
    /// Records that failed on this day, by type.
    pub errors_by_type: BTreeMap<String, u64>,
    /// The dead-letter queue.
    pub dlq: DlqFigures,
    /// Runs that ended on this day, by state.
    pub dag_runs: BTreeMap<String, u64>,
    /// DAGs of which a run failed.
    pub failed_dags: Vec<String>,
    /// Newest results before the day's end, by status.
    pub data_tests: BTreeMap<String, u64>,
    /// Names of tests that fail or are in error.
    pub failing_tests: Vec<String>,
    /// By latency; none when nothing was measured.
    pub slowest_hour: Option<SlowestHour>,
    /// By events; none without events.
    pub peak_hour: Option<PeakHour>,
    /// Every hour of the day, also those without events.
    pub hours: Vec<HourFigures>,
    /// The day and the six before it, oldest first.
    pub days: Vec<TrendDay>,
    /// Alerts of the day, by rule.
    pub alerts: Vec<AlertCount>,
}
