//! Records for `ad_events_error`: the payload exactly as received, and why it failed.

use adpipe_event::{EventError, Millis};
use adpipe_log::{Records, header};

use crate::micro_batch::{MicroBatch, Origin};

/// Adds a failed record with its own headers and those that say what failed where. `waits_for` is the
/// event hour whose archive cannot be read, of an error of that type.
pub(crate) fn push(
    records: &mut Records,
    batch: &MicroBatch,
    origin: Origin,
    error: &EventError,
    waits_for: Option<Millis>,
    now: Millis,
) -> bool {
    let run = &batch.runs[origin.run as usize];
    let Some(record) = run.get(origin.record as usize) else { return true };
    let mut headers = record
        .own_headers()
        .with(header::ERROR_TOPIC, run.topic.name())
        .with(header::ERROR_PARTITION, run.partition.to_string())
        .with(header::ERROR_OFFSET, record.offset.to_string())
        .with(header::ERROR_TYPE, error.error_type.as_str())
        .with(header::ERROR_MESSAGE, error.message.as_str())
        .with(header::ERROR_AT, now.0.to_string());
    if let Some(field) = error.field {
        headers = headers.with(header::ERROR_FIELD, field);
    }
    if let Some(hour) = waits_for {
        headers = headers.with(header::ERROR_WAITS_FOR, hour.to_string());
    }
    let headers = records.add_headers(headers);
    records.push(record.key, record.payload, headers)
}
