//! Retries of the dead-letter queue, as the stream processor sees them.

use adpipe_event::Millis;

use crate::Value;
use crate::row_sum::row_sum;

/// How long outcomes wait for the dead-letter queue. One that has gone is found out by sending the
/// record once more: it is counted already.
pub(crate) const REPLAYS_KEPT: std::time::Duration = std::time::Duration::from_secs(7 * 86_400);

/// What counting a retried record came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayOutcome {
    /// The event is counted now.
    Applied,
    /// An event of this hour and id was counted before.
    AlreadyCounted,
}

impl ReplayOutcome {
    /// The name used in SQL and on screens.
    pub fn as_str(self) -> &'static str {
        match self {
            ReplayOutcome::Applied => "applied",
            ReplayOutcome::AlreadyCounted => "already_counted",
        }
    }
}

/// One retried record that is an event. One that failed again goes to `ad_events_error` instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// Topic it was read from.
    pub topic: &'static str,
    /// Partition it was read from.
    pub partition: u32,
    /// Offset of the record that carried the retry.
    pub offset: u64,
    /// The error that was tried again.
    pub error_id: String,
    /// Which try it was, from 1.
    pub attempt: u32,
    /// The outcome.
    pub outcome: ReplayOutcome,
}

impl Replay {
    /// As `record_replay` stores it, its sum after it.
    pub(crate) fn row(&self, committed_at: Millis) -> Vec<Value> {
        let mut row = vec![
            self.topic.into(),
            Value::Int(self.partition.into()),
            Value::Int(self.offset as i64),
            self.error_id.as_str().into(),
            Value::Int(self.attempt.into()),
            self.outcome.as_str().into(),
            committed_at.to_string().into(),
        ];
        row.push(row_sum("realtime.replays", &row));
        row
    }
}
