//! What can be measured.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The share of records that an objective of 99.9 % lets be in error.
pub const ERROR_BUDGET: f64 = 0.001;

/// Something that alerts watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// Records committed by the stream per minute, valid, invalid and duplicate, over the window.
    Throughput,
    /// The 95th percentile from append to commit over the window, seconds.
    Latency,
    /// Share of invalid records among valid and invalid ones over the window.
    ErrorShare,
    /// [`Signal::ErrorShare`] as a multiple of what an objective of 99.9 % allows: the lesser of
    /// the window's and the short window's.
    BurnRate,
    /// Seconds since the last commit while records wait.
    Stalled,
    /// Records that wait (charted, watched through [`Signal::LagGrowth`]).
    Lag,
    /// So many more wait than a window ago.
    LagGrowth,
    /// Open errors of the dead-letter queue (charted, watched through [`Signal::DlqGrowth`]).
    DlqOpen,
    /// Errors that wait for a person.
    DlqExhausted,
    /// So many more errors are open than a window ago.
    DlqGrowth,
    /// Failed runs of a DAG in a row, up to its newest; label `dag`.
    DagFailures,
    /// Seconds since a DAG's run should have started; label `dag`.
    DagOverdue,
    /// Seconds that the oldest ended hour waits for the archive.
    ArchiveBehind,
    /// Hours with a part of the archive that is missing or damaged.
    ArchiveUnreadable,
    /// Data tests whose newest result is `fail` or `error`.
    FailingDataTests,
    /// Seconds by which a source is older than it may be; label `source`.
    SourceOverdue,
    /// Seconds since a process that did not end in order was seen; label `process`.
    Silent,
    /// Seconds since the warehouse answered.
    WarehouseSilent,
    /// Free share of the disk where a process keeps its data; label `host`.
    DiskFree,
    /// Seconds that the oldest unsent message to Slack waits.
    NotificationsWaiting,
}

impl Signal {
    /// Every signal.
    pub const ALL: [Signal; 20] = [
        Signal::Throughput,
        Signal::Latency,
        Signal::ErrorShare,
        Signal::BurnRate,
        Signal::Stalled,
        Signal::Lag,
        Signal::LagGrowth,
        Signal::DlqOpen,
        Signal::DlqExhausted,
        Signal::DlqGrowth,
        Signal::DagFailures,
        Signal::DagOverdue,
        Signal::ArchiveBehind,
        Signal::ArchiveUnreadable,
        Signal::FailingDataTests,
        Signal::SourceOverdue,
        Signal::Silent,
        Signal::WarehouseSilent,
        Signal::DiskFree,
        Signal::NotificationsWaiting,
    ];

    /// Its word in the table of alerts, in SQL and on screen.
    pub fn word(self) -> &'static str {
        match self {
            Signal::Throughput => "throughput",
            Signal::Latency => "latency",
            Signal::ErrorShare => "error_share",
            Signal::BurnRate => "burn_rate",
            Signal::Stalled => "stalled",
            Signal::Lag => "lag",
            Signal::LagGrowth => "lag_growth",
            Signal::DlqOpen => "dlq_open",
            Signal::DlqExhausted => "dlq_exhausted",
            Signal::DlqGrowth => "dlq_growth",
            Signal::DagFailures => "dag_failures",
            Signal::DagOverdue => "dag_overdue",
            Signal::ArchiveBehind => "archive_behind",
            Signal::ArchiveUnreadable => "archive_unreadable",
            Signal::FailingDataTests => "failing_data_tests",
            Signal::SourceOverdue => "source_overdue",
            Signal::Silent => "silent",
            Signal::WarehouseSilent => "warehouse_silent",
            Signal::DiskFree => "disk_free",
            Signal::NotificationsWaiting => "notifications_waiting",
        }
    }

    /// The signal of a word.
    pub fn from_word(word: &str) -> Option<Signal> {
        Signal::ALL.into_iter().find(|signal| signal.word() == word)
    }

    /// Whether it is measured over a time; the others are of this moment.
    pub fn has_window(self) -> bool {
        matches!(
            self,
            Signal::Throughput
                | Signal::Latency
                | Signal::ErrorShare
                | Signal::BurnRate
                | Signal::LagGrowth
                | Signal::DlqGrowth
        )
    }

    /// Whether it is a share of records, which says nothing when there are few.
    pub fn is_of_records(self) -> bool {
        matches!(self, Signal::ErrorShare | Signal::BurnRate)
    }

    /// Whether the warehouse or the log has to be asked; the others are known to this process.
    pub fn needs_warehouse(self) -> bool {
        !matches!(self, Signal::WarehouseSilent | Signal::NotificationsWaiting)
    }

    /// The labels of its series.
    pub fn labels(self) -> &'static [&'static str] {
        match self {
            Signal::DagFailures | Signal::DagOverdue => &["dag"],
            Signal::SourceOverdue => &["source"],
            Signal::Silent => &["process"],
            Signal::DiskFree => &["host"],
            _ => &[],
        }
    }
}

/// The labels of a measurement.
pub type Labels = BTreeMap<String, String>;

/// One measurement.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Which of the signal's series it is; empty for signals with one series.
    pub labels: Labels,
    /// In the signal's unit.
    pub value: f64,
    /// What a person should know next to it, as a JSON value: the causes with most errors, the tests
    /// that fail. Null when there is nothing to add.
    pub context: serde_json::Value,
}
