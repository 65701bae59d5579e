//! Measures every [`Signal`] at its source.
//!
//! `pipeline` looks at the commits, the log and the queue; `batch` at DAGs, tests and sources; `archive` at
//! what is not archived or cannot be read;
//! `machine` at processes, disks and what waits to be sent; [`collect`] sets the gauges that no
//! other role knows. What Prometheus computes from the series of `/metrics` and what is measured
//! here must be the same figure.

mod archive;
mod batch;
pub mod collect;
mod commits;
mod machine;
mod pipeline;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use adpipe_event::Millis;
use adpipe_log::EventLog;
use adpipe_schedule::dag::Dags;
use adpipe_transform::Project;
use adpipe_warehouse::Warehouse;
use serde_json::Value as Json;

pub use crate::error::MonitorError;
use crate::pulse::Pulse;
use crate::signal::{Labels, Reading, Signal};

/// What is measured with which window; several rules may share one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Measure {
    /// What is measured.
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

/// Gives the dbt project as it is now; none while there is none that can be read.
pub type ProjectNow = Arc<dyn Fn() -> Option<Arc<Project>> + Send + Sync>;

/// Where measurements come from. Clones share what was found before.
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
    /// The dbt project, for its tests and its sources' freshness; none where there is no project.
    pub project: Option<ProjectNow>,
    /// The notifier's spool; none without a notifier.
    pub spool_age: Option<SpoolAge>,
    /// Whether the notifier sends to anybody: where it does not, nothing waits to be sent.
    pub sends: bool,
    /// Where this process keeps its data.
    pub data_folder: Option<PathBuf>,
    memory: Arc<Memory>,
}

impl Sources {
    fn project(&self) -> Option<Arc<Project>> {
        self.project.as_ref().and_then(|project| project())
    }

    /// True now and then: [`crate::history`] has old rows removed then.
    pub(crate) fn retires(&self) -> bool {
        self.memory.retires()
    }

    /// Of this log and this warehouse; the rest is set afterwards, where there is any.
    pub fn new(log: Arc<dyn EventLog>, warehouse: Arc<dyn Warehouse>, pulse: Pulse) -> Sources {
        Sources {
            log,
            warehouse,
            pulse,
            dags: Dags::default(),
            project: None,
            spool_age: None,
            sends: true,
            data_folder: None,
            memory: Arc::default(),
        }
    }
}

/// What need not be asked again each time. Nothing that could not be lost.
#[derive(Default)]
struct Memory {
    minutes: commits::MinuteSums,
    /// Since when records wait without a pause.
    waiting_since: Mutex<Option<Millis>>,
    source_ages: Mutex<batch::KnownAges>,
    open_hour: Mutex<archive::KnownOpenHour>,
    retired_at: Mutex<Option<Instant>>,
    totals_rest: Mutex<Rest>,
}

/// The totals take longer the more there is: they may take a hundredth of the time, no more.
const TOTALS_SHARE: u32 = 100;

/// A pause in proportion to what was done before it.
#[derive(Debug, Default)]
struct Rest(Option<Instant>);

impl Rest {
    fn is_over(&self) -> bool {
        self.0.is_none_or(|until| Instant::now() >= until)
    }

    fn after(&mut self, took: Duration) {
        self.0 = Some(Instant::now() + took * TOTALS_SHARE);
    }
}

impl Memory {
    /// Notes whether records wait; gives since when they do.
    fn waits(&self, are_waiting: bool, now: Millis) -> Option<Millis> {
        let mut since = self.waiting_since.lock().unwrap_or_else(PoisonError::into_inner);
        *since = if are_waiting { Some(since.unwrap_or(now)) } else { None };
        *since
    }

    fn ages(&self) -> MutexGuard<'_, batch::KnownAges> {
        self.source_ages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn totals_rest(&self) -> MutexGuard<'_, Rest> {
        self.totals_rest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True when the time has come to remove what is not kept any more; then a while not.
    fn retires(&self) -> bool {
        let mut at = self.retired_at.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = at.is_none_or(|at| at.elapsed() >= RETIRED_EVERY);
        if is_due {
            *at = Some(Instant::now());
        }
        is_due
    }
}

/// How often the history is shortened.
const RETIRED_EVERY: Duration = Duration::from_secs(600);

/// A warehouse that has been silent for so long is not asked.
const SILENCE: Duration = Duration::from_secs(6);

/// Measures one signal. An empty list: nothing to say (too few records; nothing known yet).
///
/// # Errors
/// When it cannot be measured now; that says nothing about the signal.
pub fn measure(sources: &Sources, measure: &Measure, now: Millis) -> Result<Vec<Reading>, MonitorError> {
    match measure.signal {
        // These need no warehouse.
        Signal::WarehouseSilent => return Ok(machine::warehouse_silent(sources)),
        Signal::NotificationsWaiting => return Ok(machine::notifications_waiting(sources)),
        _ if sources.pulse.silent_for() > SILENCE => return Err(MonitorError::Silent),
        _ => {}
    }
    match measure.signal {
        Signal::Throughput => pipeline::throughput(sources, measure, now),
        Signal::Latency => pipeline::latency(sources, measure, now),
        Signal::ErrorShare => pipeline::error_share(sources, measure, now),
        Signal::BurnRate => pipeline::burn_rate(sources, measure, now),
        Signal::Stalled => pipeline::stalled(sources, now),
        Signal::Lag => pipeline::lag(sources),
        Signal::LagGrowth => pipeline::lag_growth(sources, measure, now),
        Signal::DlqOpen => pipeline::dlq_open(sources),
        Signal::DlqExhausted => pipeline::dlq_exhausted(sources),
        Signal::DlqGrowth => pipeline::dlq_growth(sources, measure, now),
        Signal::DagFailures => batch::dag_failures(sources, now),
        Signal::DagOverdue => batch::dag_overdue(sources, now),
        Signal::ArchiveBehind => archive::behind(sources, now),
        Signal::ArchiveUnreadable => archive::unreadable(sources),
        Signal::FailingDataTests => batch::failing_data_tests(sources),
        Signal::SourceOverdue => batch::source_overdue(sources, now),
        Signal::Silent => machine::silent(sources, now),
        Signal::DiskFree => machine::disk_free(sources, now),
        Signal::WarehouseSilent => Ok(machine::warehouse_silent(sources)),
        Signal::NotificationsWaiting => Ok(machine::notifications_waiting(sources)),
    }
}

/// The reading of a signal with one series.
fn single(value: f64, context: Json) -> Vec<Reading> {
    vec![Reading { labels: Labels::new(), value, context }]
}

/// A reading of a signal with a series for each of something.
fn labelled(label: &str, of: &str, value: f64, context: Json) -> Reading {
    Reading { labels: Labels::from([(label.to_owned(), of.to_owned())]), value, context }
}
