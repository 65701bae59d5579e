//! What needs somebody: exhausted errors, a growing backlog, a high error rate. One message for
//! each kind, however many errors there are.

use std::time::Duration;

use adpipe_event::Millis;
use adpipe_warehouse::report;
use serde::Serialize;

use crate::Dlq;
use crate::error::DlqError;
use crate::report::{Group, backlog, groups, totals};
use crate::status::Status;

/// When to speak up.
#[derive(Debug, Clone)]
pub struct Thresholds {
    /// More exhausted errors than this.
    pub exhausted: u64,
    /// So many more open errors than `growth_over` ago.
    pub growth: u64,
    /// The time over which growth is measured.
    pub growth_over: Duration,
    /// Share of records in error, over the last `error_rate_over`.
    pub error_rate: f64,
    /// The time over which the rate is measured.
    pub error_rate_over: Duration,
    /// A rate of fewer records than this says nothing.
    pub error_rate_records: u64,
}

impl Default for Thresholds {
    fn default() -> Thresholds {
        Thresholds {
            exhausted: 0,
            growth: 1_000,
            growth_over: Duration::from_secs(15 * 60),
            error_rate: 0.01,
            error_rate_over: Duration::from_secs(5 * 60),
            error_rate_records: 1_000,
        }
    }
}

/// A kind of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Errors that wait for somebody.
    Exhausted,
    /// More open errors than a while ago.
    BacklogGrowth,
    /// Too many of the newest records are in error.
    ErrorRate,
}

/// One message for everything of a kind.
#[derive(Debug, Clone, Serialize)]
pub struct Alert {
    /// Its kind.
    pub kind: Kind,
    /// What is measured: errors, errors more, or a share.
    pub value: f64,
    /// What it should not exceed.
    pub threshold: f64,
    /// In a sentence.
    pub summary: String,
    /// The causes with most open errors, at most three: fingerprint, masked message, open errors.
    pub causes: Vec<(String, String, u64)>,
}

/// What needs somebody now.
///
/// # Errors
/// Of the warehouse.
pub fn check(dlq: &Dlq, thresholds: &Thresholds) -> Result<Vec<Alert>, DlqError> {
    let groups = groups(dlq)?;
    let counts = totals(&groups);
    let causes = causes(&groups);
    let mut alerts = Vec::new();
    let mut push = |kind, value: f64, threshold: f64, summary: String| {
        if value > threshold {
            alerts.push(Alert { kind, value, threshold, summary, causes: causes.clone() });
        }
    };
    let exhausted = counts[Status::Exhausted as usize];
    let of_causes = groups.iter().filter(|group| group.counts[Status::Exhausted as usize] > 0).count();
    push(
        Kind::Exhausted,
        exhausted as f64,
        thresholds.exhausted as f64,
        format!("{exhausted} errors of {of_causes} causes wait for somebody"),
    );

    let since = |duration: Duration| Millis(Millis::now().0 - duration.as_millis() as i64);
    let open: u64 = Status::OPEN.iter().map(|status| counts[*status as usize]).sum();
    let before = backlog(dlq, since(thresholds.growth_over))?;
    if let Some(oldest) = before.first() {
        let was: u64 = Status::OPEN.iter().map(|status| oldest.counts[*status as usize]).sum();
        let more = open.saturating_sub(was);
        push(
            Kind::BacklogGrowth,
            more as f64,
            thresholds.growth as f64,
            format!("{more} more errors are open than at {}; now {open}", oldest.minute),
        );
    }

    let now = Millis::now();
    let minutes = report::live(dlq.warehouse(), since(thresholds.error_rate_over), now, 60_000)?;
    let invalid: u64 = minutes.iter().map(|minute| minute.invalid).sum();
    let valid: u64 = minutes.iter().map(|minute| minute.valid).sum();
    if invalid + valid >= thresholds.error_rate_records {
        let rate = invalid as f64 / (invalid + valid) as f64;
        push(
            Kind::ErrorRate,
            rate,
            thresholds.error_rate,
            format!("{:.2} % of the newest {} records are in error", rate * 100.0, invalid + valid),
        );
    }
    Ok(alerts)
}

fn causes(groups: &[Group]) -> Vec<(String, String, u64)> {
    let mut open: Vec<&Group> = groups.iter().filter(|group| group.open() > 0).collect();
    open.sort_by_key(|group| std::cmp::Reverse(group.open()));
    let cause = |group: &&Group| (group.fingerprint.clone(), group.message.clone(), group.open());
    open.iter().take(3).map(cause).collect()
}
