//! Which log this is, and which of its offsets no record will ever have.

use crate::Offset;

/// Identifies a log, so that keepers of its offsets can check that they belong to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogIdentity {
    /// Embedded: a UUID made with the file. Kafka: the cluster's id and the topic prefix.
    pub id: String,
    /// Grows each time the log skipped offsets to continue after its readers; always 0 on Kafka.
    pub epoch: u64,
}

/// Offsets that were skipped because the log was older than its readers: a copy that was restored,
/// or a new log for an old warehouse. Whatever had these offsets before is not in this log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogGap {
    /// Partition number.
    pub partition: u32,
    /// First offset without a record.
    pub from: Offset,
    /// First offset after the gap.
    pub to: Offset,
    /// The epoch that began with it; 0 when it is older than the log's identity.
    pub epoch: u64,
    /// When it was made, milliseconds since the Unix epoch; 0 when it is older than the log's identity.
    pub at_ms: i64,
}
