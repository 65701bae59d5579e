//! Retention and the lag gauge: what has to be done now and then.

use std::time::{Duration, Instant};

use adpipe_log::{EventLog, Offset, Topic};
use adpipe_monitor::Metrics;
use adpipe_warehouse::Warehouse;

use crate::StreamError;
use crate::backlog;
use crate::shutdown::Shutdown;

const GAUGES_EVERY: Duration = Duration::from_secs(1);
const RETIRE_EVERY: Duration = Duration::from_secs(60);

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
    metrics: &Metrics,
    shutdown: &Shutdown,
) {
    let mut retired_at: Option<Instant> = None;
    while !shutdown.sleep(GAUGES_EVERY) {
        match backlog::lag(log, warehouse) {
            Ok(partitions) => {
                for lag in partitions {
                    let labels = [Topic::Raw.name(), &lag.partition.to_string()];
                    metrics.log_lag.with_label_values(&labels).set(lag.records as i64);
                }
            }
            Err(error) => tracing::debug!(%error, "the lag cannot be measured now"),
        }
        if retired_at.is_none_or(|at| at.elapsed() >= RETIRE_EVERY) {
            retired_at = Some(Instant::now());
            if let Err(error) = retire(retention, log, warehouse) {
                tracing::warn!(%error, "retention failed and will be tried again");
            }
        }
    }
}

/// One turn of retention.
///
/// # Errors
/// Of the log or the warehouse; what was removed before stays removed.
pub fn retire(
    retention: Retention,
    log: &dyn EventLog,
    warehouse: &dyn Warehouse,
) -> Result<(), StreamError> {
    // Only what is committed may go; the error topic has no reader yet and is kept whole.
    let before = warehouse.offsets(Topic::Raw.name())?;
    // The offsets must be safe from a power failure before the records they vouch for go. A server
    // that crashed before the sync has lost some of them: those that are still there are.
    warehouse.sync()?;
    let after = warehouse.offsets(Topic::Raw.name())?;
    let floors: Vec<(Topic, u32, Offset)> = before
        .iter()
        .filter_map(|offset| {
            let still = after.iter().find(|after| after.partition == offset.partition)?;
            Some((Topic::Raw, offset.partition, Offset(offset.next_offset.min(still.next_offset))))
        })
        .collect();
    let from_log = log.retire(retention.log, &floors)?;
    let from_warehouse = warehouse.retire(retention.warehouse)?;
    if from_log.records > 0 || from_warehouse.minute_rows > 0 {
        tracing::info!(
            records = from_log.records,
            minute_rows = from_warehouse.minute_rows,
            "retention removed what is no longer kept"
        );
    }
    Ok(())
}
