//! The processes that run, and what they use.

use std::collections::HashMap;
use std::time::Duration;

use adpipe_event::Millis;
use adpipe_monitor::MonitorError;
use adpipe_monitor::history::{self, Life, UsagePoint};
use adpipe_warehouse::Warehouse;
use serde::Serialize;

/// What the small curves show.
const CURVE: Duration = Duration::from_secs(3_600);
const CURVE_STEP: Duration = Duration::from_secs(60);

/// Processes that are sent; those that live come first.
const MOST: usize = 50;

/// A process of the pipeline. Times are ms since the Unix epoch.
#[derive(Debug, Serialize)]
pub(super) struct Process {
    id: String,
    host: String,
    pid: i64,
    roles: String,
    version: String,
    /// `alive`, `ended` or `silent`.
    life: &'static str,
    started_at: i64,
    seen_at: i64,
    ended_at: Option<i64>,
    /// Percent of one core over the last minute.
    cpu_percent: Option<f64>,
    memory_bytes: Option<u64>,
    open_files: Option<u64>,
    disk_free: Option<u64>,
    disk_size: Option<u64>,
    /// Of the last hour, oldest first: CPU percent and memory in bytes.
    curve: Vec<(Option<f64>, u64)>,
}

/// Those of the last day.
pub(super) fn processes(warehouse: &dyn Warehouse, now: Millis) -> Result<Vec<Process>, MonitorError> {
    let since = Millis(now.0 - CURVE.as_millis() as i64);
    let mut curves: HashMap<String, Vec<UsagePoint>> = history::usage(warehouse, since, now, CURVE_STEP)?
        .into_iter()
        .map(|usage| (usage.process, usage.points))
        .collect();
    let found = history::processes(warehouse, now)?;
    Ok(found
        .into_iter()
        .take(MOST)
        .map(|process| {
            let newest = process.newest;
            let points = curves.remove(&process.process).unwrap_or_default();
            Process {
                id: process.process,
                host: process.host,
                pid: process.pid,
                roles: process.roles,
                version: process.version,
                life: match process.life {
                    Life::Alive => "alive",
                    Life::Ended => "ended",
                    Life::Silent => "silent",
                },
                started_at: process.started_at.0,
                seen_at: process.seen_at.0,
                ended_at: process.ended_at.map(|time| time.0),
                cpu_percent: process.cpu_percent,
                memory_bytes: newest.map(|point| point.memory_bytes),
                open_files: newest.map(|point| point.open_files),
                disk_free: newest.and_then(|point| point.disk_free),
                disk_size: newest.and_then(|point| point.disk_size),
                curve: points.iter().map(|point| (point.cpu_percent, point.memory_bytes)).collect(),
            }
        })
        .collect())
}
