//! A record of `ad_events_error`, understood.

use adpipe_event::{ErrorType, Millis};
use adpipe_log::{Headers, Record, RecordBatch, Topic, header};

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
    /// Reads one record. Whatever somebody else put into the topic is a failure, too: nothing that
    /// lies there is skipped.
    pub fn of(batch: &RecordBatch, record: &Record<'_>) -> Failure {
        let text = |name| record.headers.text(name).map(without_nul);
        let number = |name| record.headers.text(name).and_then(|text| text.parse::<u64>().ok());
        let origin = match (
            text(header::ERROR_TOPIC),
            number(header::ERROR_PARTITION),
            number(header::ERROR_OFFSET),
        ) {
            (Some(topic), Some(partition), Some(offset)) => Some((topic, partition as u32, offset)),
            _ => None,
        };
        let is_ours = origin.is_some();
        let (topic, partition, offset) =
            origin.unwrap_or_else(|| (batch.topic.name().to_owned(), batch.partition, record.offset.0));
        let error_type =
            text(header::ERROR_TYPE).and_then(|name| name.parse().ok()).unwrap_or(ErrorType::Parse);
        let message = text(header::ERROR_MESSAGE).unwrap_or_else(|| {
            if is_ours {
                "no reason was given".to_owned()
            } else {
                format!("put into {} by somebody else, without a reason", Topic::Error.name())
            }
        });
        let field = text(header::ERROR_FIELD);
        let at = number(header::ERROR_AT).map_or(Millis(batch.appended_at_ms), |at| Millis(at as i64));
        let stage = if topic.starts_with(FILE) { "batch" } else { "stream" };
        let masked = mask(&message);
        let retry = text(header::RETRY_ERROR_ID)
            .filter(|id| adpipe_runtime::ids::is_id(id))
            .zip(number(header::RETRY_ATTEMPT))
            .map(|(id, attempt)| (id, attempt as u32));
        let own = |(name, _): &&(String, Vec<u8>)| {
            !name.starts_with(header::ERROR_PREFIX)
                && name != header::RETRY_ERROR_ID
                && name != header::RETRY_ATTEMPT
        };
        Failure {
            fingerprint: fingerprint(error_type.as_str(), stage, field.as_deref(), &masked),
            topic,
            partition,
            offset,
            stage,
            key: record.key.to_vec(),
            payload: record.payload.to_vec(),
            headers: Headers(record.headers.0.iter().filter(own).cloned().collect()),
            error_type,
            field,
            message,
            masked,
            at: at.min(Millis::now()),
            waits_for: text(header::ERROR_WAITS_FOR).as_deref().and_then(Millis::parse_sql),
            retry,
        }
    }
}

/// PostgreSQL's text has no NUL.
fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
