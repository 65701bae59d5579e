//! A record of `ad_events_error`, understood.

use adpipe_event::{ErrorType, Millis};
use adpipe_log::error_record::own_headers;
use adpipe_log::{ErrorRecord, Headers, Record, RecordBatch, RetryMark, Topic};

use crate::fingerprint::{fingerprint, mask};

/// One failure: of a record that came in, or of one that was tried again.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    /// Where the record that failed lay.
    pub topic: String,
    pub partition: u32,
    pub offset: u64,
    /// The role that found it: `stream` or `batch`.
    pub stage: &'static str,
    pub key: Vec<u8>,
    pub payload: Vec<u8>,
    /// Its own headers, without those that say why it failed.
    pub headers: Headers,
    pub error_type: ErrorType,
    pub field: Option<String>,
    pub message: String,
    /// The message with its values masked.
    pub masked: String,
    pub fingerprint: String,
    pub at: Millis,
    /// Of an error of type archive: the event hour that cannot be read.
    pub waits_for: Option<Millis>,
    /// The error that was tried again, and which try it was.
    pub retry: Option<(String, u32)>,
}

/// What begins the topic of a row that came from a file.
const FILE: &str = "file:";

impl Failure {
    /// Reads one record. Whatever another program put into the topic is a failure, too: nothing in it
    /// is skipped.
    pub fn of(batch: &RecordBatch, record: &Record<'_>) -> Failure {
        let error = ErrorRecord::read(record.headers);
        let (topic, partition, offset) =
            error.origin().unwrap_or_else(|| (batch.topic.name(), batch.partition, record.offset.0));
        let topic = without_nul(topic);
        let error_type = error.error_type.and_then(|name| name.parse().ok()).unwrap_or(ErrorType::Parse);
        let message = error.message.map_or_else(|| no_reason(error.origin().is_some()), without_nul);
        let field = error.field.map(without_nul);
        let at = error.at.unwrap_or(Millis(batch.appended_at_ms));
        let stage = if topic.starts_with(FILE) { "batch" } else { "stream" };
        let masked = mask(&message);
        let retry = RetryMark::read(record.headers)
            .filter(|mark| adpipe_runtime::ids::is_id(mark.error_id))
            .map(|mark| (mark.error_id.to_owned(), mark.attempt));
        Failure {
            fingerprint: fingerprint(error_type.as_str(), stage, field.as_deref(), &masked),
            topic,
            partition,
            offset,
            stage,
            key: record.key.to_vec(),
            payload: record.payload.to_vec(),
            headers: own_headers(record.headers),
            error_type,
            field,
            message,
            masked,
            at: at.min(Millis::now()),
            waits_for: error.waits_for,
            retry,
        }
    }
}

fn no_reason(is_ours: bool) -> String {
    if is_ours {
        "no reason was given".to_owned()
    } else {
        format!("written to {} by another program, without a reason", Topic::Error.name())
    }
}

/// PostgreSQL's text has no NUL.
fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
