//! Records for `ad_events_error`: the payload exactly as received, and why it failed.

use adpipe_counting::micro_batch::{MicroBatch, Origin};
use adpipe_event::{EventError, Millis};
use adpipe_log::error_record::{ErrorRecord, appends};
use adpipe_log::{EventLog, LogError, Records, Topic};
use adpipe_metrics::Metrics;

/// A record of a micro-batch that is in error.
pub(crate) struct InError<'a> {
    pub origin: Origin,
    pub error: &'a EventError,
    /// The event hour whose archive cannot be read, of an error of that type.
    pub waits_for: Option<Millis>,
}

/// Appends errors, and waits until they are durable.
pub(crate) fn send(
    log: &dyn EventLog,
    metrics: &Metrics,
    batch: &MicroBatch,
    errors: &[InError<'_>],
) -> Result<(), LogError> {
    let now = Millis::now();
    let payload_len =
        |error: &InError<'_>| batch.record(error.origin).map_or(0, |record| record.payload.len());
    for errors in appends(errors, payload_len) {
        let mut records = Records::new();
        for error in errors {
            push(&mut records, batch, error, now)?;
        }
        let count = records.len() as u64;
        log.append(Topic::Error, records, None)?.wait()?;
        metrics.records_appended.with_label_values(&[Topic::Error.name()]).inc_by(count);
    }
    Ok(())
}

/// Adds a failed record with its own headers and those that say what failed where.
fn push(
    records: &mut Records,
    batch: &MicroBatch,
    in_error: &InError<'_>,
    now: Millis,
) -> Result<(), LogError> {
    let InError { origin, error, waits_for } = *in_error;
    let run = &batch.runs[origin.run as usize];
    let Some(record) = batch.record(origin) else { return Ok(()) };
    let failed_at = (run.topic.name(), run.partition, record.offset.0);
    let headers = ErrorRecord::new(failed_at, error, now, waits_for).write(record.own_headers());
    let headers = records.add_headers(headers);
    // A micro-batch is a hundredth of what one buffer holds; a full one is asked to come again.
    if records.push(record.key, record.payload, headers) {
        Ok(())
    } else {
        Err(LogError::Busy { queued_bytes: records.byte_size() })
    }
}
