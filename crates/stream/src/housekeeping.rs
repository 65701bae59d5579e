//! Retention and the lag gauge: what has to be done now and then.

use std::time::{Duration, Instant};

use adpipe_log::{EventLog, Offset, Topic};
use adpipe_metrics::Metrics;
use adpipe_warehouse::{ArchiveIds, Schema, Warehouse, archive, errors, invalid, report};

use crate::StreamError;
use crate::backlog;
use adpipe_runtime::Shutdown;

const GAUGES_EVERY: Duration = Duration::from_secs(1);
const RETIRE_EVERY: Duration = Duration::from_secs(60);
const LOOK_AT_ARCHIVE_EVERY: Duration = Duration::from_secs(5);
const LOOK_AT_ARCHIVE_AT_LEAST_EVERY: Duration = Duration::from_secs(60);

/// What is kept, where.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// For the event log.
    pub log: adpipe_log::RetentionPolicy,
    /// For the warehouse.
    pub warehouse: adpipe_warehouse::RetentionPolicy,
}

/// Runs until the switch is off. Failures are logged and tried again at the next turn.
pub fn run(
    retention: Retention,
    log: &dyn EventLog,
    warehouse: &dyn Warehouse,
    archive: Option<&dyn ArchiveIds>,
    metrics: &Metrics,
    shutdown: &Shutdown,
) {
    let mut archive_look = ArchiveLook::default();
    let mut retired_at: Option<Instant> = None;
    let mut knows_last_commit = false;
    while !shutdown.sleep(GAUGES_EVERY) {
        match backlog::lag(log, warehouse) {
            Ok(partitions) => {
                for lag in partitions {
                    let labels = [lag.topic.name(), &lag.partition.to_string()];
                    metrics.log_lag.with_label_values(&labels).set(lag.records as i64);
                }
            }
            Err(error) => tracing::debug!(%error, "the lag cannot be measured now"),
        }
        // What was committed before this process started is the newest commit, too.
        if !knows_last_commit && let Ok(newest) = report::newest_commit(warehouse) {
            knows_last_commit = true;
            newest.inspect(|at| metrics.committed_at(at.0 as f64 / 1_000.0));
        }
        if let Some(archive) = archive {
            archive_look.turn(warehouse, archive);
        }
        if retired_at.is_none_or(|at| at.elapsed() >= RETIRE_EVERY) {
            retired_at = Some(Instant::now());
            if let Err(error) = retire(retention, log, warehouse) {
                tracing::warn!(%error, "retention failed and will be retried");
            }
        }
    }
}

/// Looks whether parts of the archive that were missing or damaged can be read again, so that what
/// waits for them is sent again. Less often the longer nothing changes, as a damaged part is read to
/// its end each time.
#[derive(Default)]
struct ArchiveLook {
    looked_at: Option<Instant>,
    pause: Duration,
}

impl ArchiveLook {
    fn turn(&mut self, warehouse: &dyn Warehouse, source: &dyn ArchiveIds) {
        if self.looked_at.is_some_and(|at| at.elapsed() < self.pause) {
            return;
        }
        let again = archive::look_again(warehouse, source);
        self.looked_at = Some(Instant::now());
        self.pause = (self.pause * 2).clamp(LOOK_AT_ARCHIVE_EVERY, LOOK_AT_ARCHIVE_AT_LEAST_EVERY);
        match again {
            Ok(hours) if hours.is_empty() => {}
            Ok(hours) => {
                self.pause = LOOK_AT_ARCHIVE_EVERY;
                tracing::info!(hours = hours.len(), "parts of the archive can be read again");
            }
            Err(error) => tracing::debug!(%error, "unreadable parts of the archive cannot be checked now"),
        }
    }
}

/// One turn of retention.
///
/// # Errors
/// Failures of the log or the warehouse; what was removed before stays removed.
pub fn retire(
    retention: Retention,
    log: &dyn EventLog,
    warehouse: &dyn Warehouse,
) -> Result<(), StreamError> {
    if warehouse.is_stopped(Schema::Realtime) {
        return Ok(());
    }
    // Only what is committed may go, and it must be safe from a power failure before the records
    // that vouch for it do. A server that crashed before the sync has lost some of the offsets:
    // those that are still there are.
    let before = offsets(warehouse)?;
    warehouse.sync()?;
    let after = offsets(warehouse)?;
    let floors: Vec<(Topic, u32, Offset)> = before
        .iter()
        .filter_map(|(topic, partition, next)| {
            let still = after.iter().find(|(t, p, _)| (t, p) == (topic, partition))?;
            Some((*topic, *partition, *next.min(&still.2)))
        })
        .collect();
    let from_log = log.retire(retention.log, &floors)?;
    let from_warehouse = warehouse.retire(retention.warehouse)?;
    invalid::retire(warehouse)?;
    if from_log.records > 0 || from_warehouse.minute_rows > 0 {
        tracing::info!(
            records = from_log.records,
            minute_rows = from_warehouse.minute_rows,
            "retention removed what is no longer kept"
        );
    }
    Ok(())
}

/// The next offset that the reader of each partition will want.
fn offsets(warehouse: &dyn Warehouse) -> Result<Vec<(Topic, u32, Offset)>, StreamError> {
    let mut all = Vec::new();
    for topic in adpipe_counting::TOPICS {
        let of_topic = warehouse.offsets(topic.name())?;
        all.extend(of_topic.iter().map(|offset| (topic, offset.partition, Offset(offset.next_offset))));
    }
    // A queue that does not fit says nothing about what was read of its topic.
    if warehouse.is_stopped(Schema::Errors) {
        return Ok(all);
    }
    for offset in errors::offsets(warehouse)? {
        all.push((Topic::Error, offset.partition, Offset(offset.next_offset)));
    }
    Ok(all)
}
