//! How far the processor is behind, which slows down the ways in.

use adpipe_log::{EventLog, Topic};
use adpipe_warehouse::WarehouseRead;

use crate::StreamError;

/// Records of one partition that are in the log and not yet committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionLag {
    /// Topic that the records wait in.
    pub topic: Topic,
    /// Partition number.
    pub partition: u32,
    /// Records not yet committed.
    pub records: u64,
}

/// Records that wait for the processor, measured now.
///
/// # Errors
/// When the log or the warehouse does not answer.
pub fn records(log: &dyn EventLog, warehouse: &dyn WarehouseRead) -> Result<u64, StreamError> {
    Ok(lag(log, warehouse)?.iter().map(|partition| partition.records).sum())
}

/// The lag of each partition, measured now.
///
/// # Errors
/// When the log or the warehouse does not answer.
pub fn lag(log: &dyn EventLog, warehouse: &dyn WarehouseRead) -> Result<Vec<PartitionLag>, StreamError> {
    let mut lags = Vec::new();
    for topic in adpipe_counting::TOPICS {
        lags.extend(lag_of(topic, log, warehouse)?);
    }
    Ok(lags)
}

fn lag_of(
    topic: Topic,
    log: &dyn EventLog,
    warehouse: &dyn WarehouseRead,
) -> Result<Vec<PartitionLag>, StreamError> {
    let ranges = log.ranges(topic)?;
    let offsets = warehouse.offsets(topic.name())?;
    let committed = |partition| {
        offsets.iter().find(|offset| offset.partition == partition).map_or(0, |offset| offset.next_offset)
    };
    Ok(ranges
        .iter()
        .map(|range| PartitionLag {
            topic,
            partition: range.partition,
            // What the log no longer keeps is nothing to wait for.
            records: range.next.0.saturating_sub(committed(range.partition).max(range.first.0)),
        })
        .collect())
}
