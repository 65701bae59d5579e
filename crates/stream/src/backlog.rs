//! How far the processor is behind: what slows the ways in.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use adpipe_log::{EventLog, Topic};
use adpipe_warehouse::Warehouse;

use crate::StreamError;

/// A measurement is used again for this long: the ways in ask for every request.
const FRESH: Duration = Duration::from_millis(100);

/// Records of one partition that are in the log and not yet committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionLag {
    /// Topic.
    pub topic: Topic,
    /// Partition number.
    pub partition: u32,
    /// Records not yet committed.
    pub records: u64,
}

/// Measures the lag of the processor.
#[derive(Default)]
pub struct Backlog {
    newest: Mutex<Option<(Instant, u64)>>,
}

impl Backlog {
    /// Nothing measured yet.
    pub fn new() -> Backlog {
        Backlog::default()
    }

    /// Records that wait, at most 100 ms old.
    pub fn records(&self, log: &dyn EventLog, warehouse: &dyn Warehouse) -> Result<u64, StreamError> {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((measured_at, records)) = *newest
            && measured_at.elapsed() < FRESH
        {
            return Ok(records);
        }
        let records = lag(log, warehouse)?.iter().map(|partition| partition.records).sum();
        *newest = Some((Instant::now(), records));
        Ok(records)
    }
}

/// The lag of each partition, measured now.
pub fn lag(log: &dyn EventLog, warehouse: &dyn Warehouse) -> Result<Vec<PartitionLag>, StreamError> {
    let mut lags = Vec::new();
    for topic in crate::TOPICS {
        lags.extend(lag_of(topic, log, warehouse)?);
    }
    Ok(lags)
}

fn lag_of(
    topic: Topic,
    log: &dyn EventLog,
    warehouse: &dyn Warehouse,
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
