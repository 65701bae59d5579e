//! What was measured, kept for charts: `ops.readings` and `ops.process_samples`.

use std::time::Duration;

use adpipe_event::Millis;
use adpipe_warehouse::Warehouse;

use crate::figures::{MonitorError, Sources};
use crate::signal::{Labels, Reading, Signal};

/// One line of a chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Which of the signal's series it is; empty for signals with one.
    pub labels: Labels,
    /// Time and value, oldest first, at most one a step (the newest within it). A step without a
    /// reading is missing.
    pub points: Vec<(Millis, f64)>,
}

/// What a process used, for charts.
#[derive(Debug, Clone, PartialEq)]
pub struct Usage {
    /// The process.
    pub process: String,
    /// Oldest first, at most one a step.
    pub points: Vec<UsagePoint>,
}

/// What a process used at a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UsagePoint {
    /// When.
    pub at: Millis,
    /// Percent of one core since the point before; none for the first.
    pub cpu_percent: Option<f64>,
    /// Resident, bytes.
    pub memory_bytes: u64,
    /// Open files.
    pub open_files: u64,
    /// Free bytes where its data lies; none when it keeps none.
    pub disk_free: Option<u64>,
    /// Size of that disk, bytes.
    pub disk_size: Option<u64>,
}

/// Whether a process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// Seen within the last minute.
    Alive,
    /// Ended in order.
    Ended,
    /// Did not end in order, and was not seen for a minute.
    Silent,
}

/// A process of the pipeline.
#[derive(Debug, Clone, PartialEq)]
pub struct Process {
    /// `host:pid:start`.
    pub process: String,
    /// Its machine.
    pub host: String,
    /// Its number there.
    pub pid: i64,
    /// `stream dlq scheduler console monitor`, those it plays.
    pub roles: String,
    /// Of adpipe.
    pub version: String,
    /// When it began.
    pub started_at: Millis,
    /// When it last wrote.
    pub seen_at: Millis,
    /// When it ended in order.
    pub ended_at: Option<Millis>,
    /// Whether it lives.
    pub life: Life,
    /// Percent of one core over the last minute; none with fewer than two samples.
    pub cpu_percent: Option<f64>,
    /// Newest sample; none before the first.
    pub newest: Option<UsagePoint>,
}

/// Measures everything that is charted and writes it to `ops.readings` in one statement. Called
/// by the monitor role, every 15 s. What cannot be measured now is left out.
///
/// # Errors
/// When the readings cannot be written.
pub fn record(sources: &Sources, now: Millis) -> Result<Vec<(Signal, Reading)>, MonitorError> {
    let _ = (sources, now);
    Ok(Vec::new())
}

/// The readings of a signal, by its labels, for a chart with one point a `step`.
///
/// # Errors
/// Of the warehouse.
pub fn readings(
    warehouse: &dyn Warehouse,
    signal: Signal,
    since: Millis,
    until: Millis,
    step: Duration,
) -> Result<Vec<Series>, MonitorError> {
    let _ = (warehouse, signal, since, until, step);
    Ok(Vec::new())
}

/// What the processes used from `since` to `until`, for charts with one point a `step`.
///
/// # Errors
/// Of the warehouse.
pub fn usage(
    warehouse: &dyn Warehouse,
    since: Millis,
    until: Millis,
    step: Duration,
) -> Result<Vec<Usage>, MonitorError> {
    let _ = (warehouse, since, until, step);
    Ok(Vec::new())
}

/// The processes seen within the last day, those that live first.
///
/// # Errors
/// Of the warehouse.
pub fn processes(warehouse: &dyn Warehouse, now: Millis) -> Result<Vec<Process>, MonitorError> {
    let _ = (warehouse, now);
    Ok(Vec::new())
}
