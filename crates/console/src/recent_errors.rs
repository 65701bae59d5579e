//! The newest records that could not be counted, read from the end of `ad_events_error`.

use std::collections::VecDeque;

use adpipe_log::{ErrorRecord, EventLog, LogError, Offset, PartitionRange, Record, Topic};
use serde::Serialize;

/// Errors shown.
const SHOWN: usize = 50;

/// Characters of a payload shown.
const PAYLOAD_CHARS: usize = 240;

const READ_BYTES: usize = 1 << 20;

/// An error as the page shows it.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub(crate) struct RecentError {
    /// When it failed, ms since the Unix epoch.
    pub at: i64,
    pub error_type: String,
    pub field: Option<String>,
    pub message: String,
    /// The place of the record that failed.
    pub topic: String,
    pub partition: String,
    pub offset: String,
    /// The beginning of the record, unreadable bytes replaced.
    pub payload: String,
    /// Whole length of the record.
    pub payload_bytes: usize,
}

/// The newest errors, newest first.
pub(crate) fn newest(log: &dyn EventLog) -> Result<Vec<RecentError>, LogError> {
    let mut errors = Vec::new();
    for range in log.ranges(Topic::Error)? {
        errors.extend(newest_of(log, range)?);
    }
    errors.sort_by_key(|error| std::cmp::Reverse(error.at));
    errors.truncate(SHOWN);
    Ok(errors)
}

fn newest_of(log: &dyn EventLog, range: PartitionRange) -> Result<Vec<RecentError>, LogError> {
    let mut errors: VecDeque<RecentError> = VecDeque::with_capacity(SHOWN);
    let mut from = range.first.max(Offset(range.next.0.saturating_sub(SHOWN as u64)));
    while from < range.next {
        let batches = match log.read(Topic::Error, range.partition, from, READ_BYTES) {
            // Retention was faster than we are: there is nothing left to show from here.
            Err(LogError::OutOfRange { .. }) => break,
            other => other?,
        };
        let Some(last) = batches.last() else { break };
        from = last.next_offset();
        for record in batches.iter().flat_map(|batch| batch.iter()) {
            if errors.len() == SHOWN {
                errors.pop_front();
            }
            errors.push_back(recent_error(&record));
        }
    }
    // Errors of one batch have one time: the later one comes first.
    Ok(errors.into_iter().rev().collect())
}

fn recent_error(record: &Record<'_>) -> RecentError {
    let error = ErrorRecord::read(record.headers);
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    RecentError {
        at: error.at.map_or(0, |at| at.0),
        error_type: text(error.error_type),
        field: error.field.map(str::to_owned),
        message: text(error.message),
        topic: text(error.topic),
        partition: error.partition.map_or_else(String::new, |partition| partition.to_string()),
        offset: error.offset.map_or_else(String::new, |offset| offset.to_string()),
        payload: shortened(record.payload),
        payload_bytes: record.payload.len(),
    }
}

fn shortened(payload: &[u8]) -> String {
    // A character takes at most four bytes, so more need not be looked at.
    let start = &payload[..payload.len().min(PAYLOAD_CHARS * 4)];
    let text = String::from_utf8_lossy(start);
    let mut shown: String = text.chars().take(PAYLOAD_CHARS).collect();
    if shown.len() < payload.len() && text.chars().nth(PAYLOAD_CHARS).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::shortened;

    #[test]
    fn payloads_are_cut_at_a_character() {
        assert_eq!(shortened(b"short"), "short");
        let long = "클".repeat(1_000);
        assert_eq!(shortened(long.as_bytes()).chars().count(), 241);
        assert_eq!(shortened(&[0xff, b'a']), "\u{fffd}a");
    }
}
