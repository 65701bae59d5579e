//! What became of the records that the dead-letter queue has sent again.

use adpipe_counting::micro_batch::MicroBatch;
use adpipe_log::{RetryMark, Topic};
use adpipe_warehouse::{Inserted, Replay, ReplayOutcome};

use crate::processor::Rejected;

/// The outcome of each retried record that is an event. Those that failed again say so themselves,
/// in the error topic.
pub(crate) fn outcomes(batch: &MicroBatch, inserted: &Inserted, rejected: &Rejected) -> Vec<Replay> {
    if batch.shares.iter().all(|share| share.topic != Topic::Retry) {
        return Vec::new();
    }
    let mut outcomes = Vec::new();
    for (index, origin) in batch.origins.iter().enumerate() {
        let run = &batch.runs[origin.run as usize];
        if run.topic != Topic::Retry || rejected.contains_key(&index) {
            continue;
        }
        let Some(record) = batch.record(*origin) else { continue };
        // A foreign record in this topic is an event like any other.
        let Some(RetryMark { error_id, attempt }) = RetryMark::read(record.headers) else { continue };
        outcomes.push(Replay {
            topic: run.topic.name(),
            partition: run.partition,
            offset: record.offset.0,
            error_id: error_id.to_owned(),
            attempt,
            outcome: if inserted.is_new[index] {
                ReplayOutcome::Applied
            } else {
                ReplayOutcome::AlreadyCounted
            },
        });
    }
    outcomes
}
