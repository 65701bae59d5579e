//! Runs the queue: one thread stores incoming errors, one sends retries and reads their outcomes, one
//! does bulk actions. They wait out problems that pass; only permanent ones end them.

use std::time::{Duration, Instant};

use adpipe_event::Millis;
use adpipe_log::{EventLog, LogError, PartitionRange, Topic};
use adpipe_metrics::Role;
use adpipe_runtime::Backoff;
use adpipe_runtime::Shutdown;
use adpipe_sql::section;
use adpipe_stores::crossing::{Crossing, cross};
use adpipe_warehouse::{Value, Warehouse, WarehouseError, errors};

use crate::Dlq;
use crate::error::DlqError;
use crate::report::{groups, totals};
use crate::retry::outcome;
use crate::retry::sender::Sender;
use crate::status::Status;
use crate::{consumer, jobs, retention, voids};

const SAMPLE: &str = section(include_str!("../sql/report.sql"), "sample");

/// Pauses between looks when there was nothing to do.
const PAUSE: Duration = Duration::from_millis(200);
const LOOK_EVERY: Duration = Duration::from_millis(50);
const GAUGES_EVERY: Duration = Duration::from_secs(2);
const RETIRE_EVERY: Duration = Duration::from_secs(600);

/// One thread's work.
type Part<'a> = Box<dyn FnOnce() -> Result<(), DlqError> + Send + 'a>;

/// Plays the role until the switch is off.
///
/// # Errors
/// Only what waiting cannot fix: a damaged log or warehouse.
pub fn run(dlq: &Dlq, shutdown: &Shutdown) -> Result<(), DlqError> {
    dlq.metrics().play(Role::Dlq);
    let worker = format!("{}-{:08x}", std::process::id(), rand::random::<u32>());
    std::thread::scope(|scope| {
        let mut threads = Vec::new();
        let parts: [(&str, Part<'_>); 3] = [
            ("dlq-consumer", Box::new(|| consume(dlq, shutdown))),
            ("dlq-retry", Box::new(|| retry(dlq, shutdown))),
            ("dlq-jobs", Box::new(|| keep_house(dlq, shutdown, &worker))),
        ];
        for (name, part) in parts {
            let started = std::thread::Builder::new().name(name.to_owned()).spawn_scoped(scope, part);
            match started {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    shutdown.trigger();
                    return Err(DlqError::Refused(format!("cannot start a thread: {error}")));
                }
            }
        }
        let mut result = Ok(());
        for thread in threads {
            let ended = thread
                .join()
                .unwrap_or_else(|_| Err(DlqError::Refused("a thread of the dlq panicked".to_owned())));
            if ended.is_err() {
                shutdown.trigger();
            }
            result = result.and(ended);
        }
        result
    })
}

/// Errors in the log that are still to be stored, by partition.
///
/// # Errors
/// Failures of the warehouse or the log.
pub fn lag(dlq: &Dlq) -> Result<Vec<(u32, u64)>, DlqError> {
    lag_of(dlq.log(), dlq.warehouse())
}

/// How many errors in the log are still to be stored.
///
/// # Errors
/// Failures of the warehouse or the log.
pub fn waiting(dlq: &Dlq) -> Result<u64, DlqError> {
    Ok(lag(dlq)?.iter().map(|(_, records)| records).sum())
}

/// Stores what waits in the log, and ends: for a command that reads the queue when no process keeps it.
/// Gives how many errors wait when `limit` has passed: 0 when all are stored.
///
/// # Errors
/// Failures of the warehouse or the log.
pub fn store_waiting(dlq: &Dlq, limit: Duration) -> Result<u64, DlqError> {
    let until = Instant::now() + limit;
    if waiting(dlq)? == 0 {
        return Ok(0);
    }
    let stop = Shutdown::new();
    std::thread::scope(|scope| {
        let storing = scope.spawn(|| consumer::run(dlq, &stop));
        let left = loop {
            let left = waiting(dlq);
            let is_over = Instant::now() >= until || storing.is_finished();
            if is_over || !matches!(left, Ok(records) if records > 0) {
                break left;
            }
            stop.sleep(LOOK_EVERY);
        };
        stop.trigger();
        let panicked = || DlqError::Refused("the thread that stores errors panicked".to_owned());
        storing.join().map_err(|_| panicked())??;
        left
    })
}

/// The same as [`lag`], for a caller that has no queue in hand.
///
/// # Errors
/// Failures of the warehouse or the log.
pub fn lag_of(log: &dyn EventLog, warehouse: &dyn Warehouse) -> Result<Vec<(u32, u64)>, DlqError> {
    let stored = errors::offsets(warehouse)?;
    let ranges = log.ranges(Topic::Error)?;
    let lag = |range: &PartitionRange| {
        let next = stored.iter().find(|offset| offset.partition == range.partition);
        let next = next.map_or(0, |offset| offset.next_offset).max(range.first.0);
        (range.partition, range.next.0.saturating_sub(next))
    };
    Ok(ranges.iter().map(lag).collect())
}

/// Repeats `work` until the switch is off; waits longer and longer while it fails.
fn keep_trying(
    what: &'static str,
    shutdown: &Shutdown,
    mut work: impl FnMut() -> Result<bool, DlqError>,
) -> Result<(), DlqError> {
    let mut backoff = Backoff::new(what);
    while !shutdown.is_triggered() {
        match work() {
            Ok(has_more) => {
                backoff.succeeded();
                if !has_more {
                    shutdown.sleep(PAUSE);
                }
            }
            // Another process did it first, or had the rows in hand.
            Err(DlqError::Warehouse(WarehouseError::Fenced { .. })) | Err(DlqError::Refused(_)) => {
                shutdown.sleep(PAUSE);
            }
            Err(error) if error.is_transient() => backoff.failed(&error, shutdown),
            Err(error) => {
                shutdown.trigger();
                return Err(error);
            }
        }
    }
    Ok(())
}

fn consume(dlq: &Dlq, shutdown: &Shutdown) -> Result<(), DlqError> {
    keep_trying("the storing of errors", shutdown, || match consumer::run(dlq, shutdown) {
        // Errors that are gone with a log are passed over when they are on record, and only then.
        Err(DlqError::Log(error @ LogError::OutOfRange { .. })) => match cross(dlq.warehouse(), &error)? {
            Crossing::Crossed | Crossing::NotThere => Ok(false),
            Crossing::Refused => Err(error.into()),
        },
        ended => ended.map(|()| false),
    })
}

fn retry(dlq: &Dlq, shutdown: &Shutdown) -> Result<(), DlqError> {
    let mut sender = Sender::default();
    keep_trying("retrying of errors", shutdown, || {
        let taken = outcome::take(dlq)?;
        let sent = sender.turn(dlq)?;
        Ok(taken + sent > 0)
    })
}

fn keep_house(dlq: &Dlq, shutdown: &Shutdown, worker: &str) -> Result<(), DlqError> {
    let mut measured: Option<Instant> = None;
    let mut retired: Option<Instant> = None;
    keep_trying("the bulk actions of the dlq", shutdown, || {
        let is_due = |at: Option<Instant>, every| at.is_none_or(|at| at.elapsed() >= every);
        if is_due(measured, GAUGES_EVERY) {
            measured = Some(Instant::now());
            voids::settle(dlq)?;
            measure(dlq)?;
        }
        if is_due(retired, RETIRE_EVERY) {
            retired = Some(Instant::now());
            let removed = retention::retire(dlq)?;
            if removed > 0 {
                tracing::info!(removed, "errors that were closed long ago were removed");
            }
        }
        jobs::turn(dlq, worker)
    })
}

/// The gauges, and the backlog's sample of this minute.
fn measure(dlq: &Dlq) -> Result<(), DlqError> {
    let groups = groups(dlq)?;
    let counts = totals(&groups);
    let metrics = dlq.metrics();
    for status in Status::ALL {
        metrics.dlq_errors.with_label_values(&[status.as_str()]).set(counts[status as usize] as i64);
    }
    let oldest =
        groups.iter().filter(|group| group.open() > 0).map(|group| group.first_seen_at.as_str()).min();
    metrics.dlq_oldest_at(oldest.and_then(Millis::parse_sql).map(|time| time.0 as f64 / 1_000.0));
    for (partition, records) in lag(dlq)? {
        let labels = [Topic::Error.name(), &partition.to_string()];
        metrics.log_lag.with_label_values(&labels).set(records as i64);
    }
    let arrived = counts.iter().sum::<u64>() + retention::retired_total(dlq)?;
    let mut params = vec![Value::from(Millis::now().floor_minute().to_string())];
    params.extend(counts.iter().chain([&arrived]).map(|count| Value::Int(*count as i64)));
    dlq.transact(|transaction| Ok(transaction.execute(SAMPLE, &params)?))?;
    Ok(())
}
