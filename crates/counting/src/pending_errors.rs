//! Errors between their topic and the dead-letter queue: counted already, and not stored yet.

use std::collections::{HashMap, HashSet};

use adpipe_log::{ErrorRecord, EventLog, LogError, Offset, Topic};
use adpipe_warehouse::{WarehouseRead, errors};

use crate::CountingError;

/// Bytes read from the log at once.
const READ_BYTES: usize = 4 << 20;

/// Offsets of records in error, by the topic and partition that they came from.
pub type ErrorOffsets = HashMap<(String, u32), HashSet<u64>>;

/// Records that the error topic names and the dead-letter queue has yet to store; of topics, or
/// files (`file:PATH`), that are wanted.
///
/// # Errors
/// When log or warehouse cannot be read.
pub fn pending_errors(
    log: &dyn EventLog,
    warehouse: &dyn WarehouseRead,
    is_wanted: impl Fn(&str) -> bool,
) -> Result<ErrorOffsets, CountingError> {
    let mut found = ErrorOffsets::new();
    let stored = errors::offsets(warehouse)?;
    for range in log.ranges(Topic::Error)? {
        let reached = stored.iter().find(|offset| offset.partition == range.partition);
        let mut next = range.first.max(Offset(reached.map_or(0, |offset| offset.next_offset)));
        while next < range.next {
            let batches = match log.read(Topic::Error, range.partition, next, READ_BYTES) {
                // Errors that are gone with a log are nowhere on the way.
                Err(LogError::OutOfRange { oldest, .. }) if oldest > next.0 => {
                    next = Offset(oldest);
                    continue;
                }
                read => read?,
            };
            let Some(last) = batches.last() else { break };
            next = last.next_offset();
            for record in batches.iter().flat_map(|batch| batch.iter()) {
                let origin = ErrorRecord::read(record.headers).origin();
                if let Some((topic, partition, offset)) = origin.filter(|(topic, ..)| is_wanted(topic)) {
                    found.entry((topic.to_owned(), partition)).or_default().insert(offset);
                }
            }
        }
    }
    // What is delivered twice may be stored and on the way.
    for ((topic, partition), offsets) in &mut found {
        errors::positions(warehouse, topic, *partition, 0, |offset| {
            offsets.remove(&offset);
        })?;
    }
    Ok(found)
}
