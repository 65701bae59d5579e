//! Errors in files: out, to be repaired by other means, and in again. One JSON object a line.

use adpipe_event::EventError;
use adpipe_log::{Headers, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::Dlq;
use crate::actions::Actor;
use crate::error::DlqError;
use crate::repair::{Content, Edit, Edited, content, edit_and_send, edit_if_valid, try_edit};
use crate::report::{Story, story};
use crate::sending::{Sending, before_sending};

/// One error in a file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Line {
    /// Names the error.
    pub error_id: String,
    /// Topic, or `file:…`, where the record lay.
    #[serde(default)]
    pub topic: String,
    /// Partition where it lay.
    #[serde(default)]
    pub partition: i64,
    /// Offset, or row, where it lay.
    #[serde(default)]
    pub offset: i64,
    /// The name of an [`ErrorType`](adpipe_event::ErrorType).
    #[serde(default)]
    pub error_type: String,
    /// The field to blame.
    #[serde(default)]
    pub field: Option<String>,
    /// What was wrong.
    #[serde(default)]
    pub message: String,
    /// As stored; see `Status`.
    #[serde(default)]
    pub status: String,
    /// First failure, UTC.
    #[serde(default)]
    pub first_failed_at: String,
    /// Header names and values; those that are not UTF-8 are left out.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// What would be sent, when it is UTF-8 …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
    /// … and when it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload_base64: Option<String>,
}

/// What became of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Imported {
    /// The payload differs: the error is edited and sent again, or would be.
    Edited(Sending),
    /// The payload is what the queue has.
    Unchanged,
    /// Sent now, it would fail, and sending it was not forced: nothing was done.
    WouldFail(EventError),
    /// It cannot be edited now, and why: nothing was done.
    Refused(String),
}

/// What may be done to a line's error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    /// Nothing: only look what would become of it.
    Look,
    /// Send it again where its event would be counted.
    OnlyValid,
    /// Send it again whatever would become of it.
    Any,
}

/// An error as a line of a file, without the line's end.
///
/// # Errors
/// [`DlqError::NotFound`], or of the warehouse.
pub fn export(dlq: &Dlq, error_id: &str) -> Result<String, DlqError> {
    let Story { error, raw_payload, headers, edited_payload, edited_headers, .. } = story(dlq, error_id)?;
    let payload = edited_payload.unwrap_or(raw_payload);
    let (text, base64) = match String::from_utf8(payload) {
        Ok(text) => (Some(text), None),
        Err(not_text) => (None, Some(STANDARD.encode(not_text.as_bytes()))),
    };
    let Headers(headers) = edited_headers.unwrap_or(headers);
    let line = Line {
        error_id: error.error_id,
        topic: error.topic,
        partition: error.partition,
        offset: error.offset,
        error_type: error.error_type,
        field: error.field,
        message: error.message,
        status: error.status,
        first_failed_at: error.first_failed_at,
        headers: headers
            .into_iter()
            .filter_map(|(name, value)| String::from_utf8(value).ok().map(|value| (name, value)))
            .collect(),
        payload: text,
        payload_base64: base64,
    };
    serde_json::to_string(&line).map_err(|error| DlqError::Refused(error.to_string()))
}

/// In the words of people, without the parser's own and its place, as each line is read by itself.
fn what_is_wrong(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let reason = message.rsplit_once(" at line ").map_or(message.as_str(), |(reason, _)| reason);
    match error.classify() {
        serde_json::error::Category::Data if reason.ends_with("expected struct Line") => {
            "it is not a JSON object".to_owned()
        }
        serde_json::error::Category::Data => reason.to_owned(),
        _ => "it is not JSON".to_owned(),
    }
}

/// Takes a line back: where its payload or its CSV columns differ, the error is edited and sent again.
/// A record keeps its format: the line's headers matter only if they name other columns, so tools that
/// drop the headers do no harm.
///
/// # Errors
/// [`DlqError::Refused`] or [`DlqError::NotFound`] when the line is wrong; or of the warehouse.
pub fn import(dlq: &Dlq, line: &str, consent: Consent, actor: Actor<'_>) -> Result<Imported, DlqError> {
    let line: Line = serde_json::from_str(line)
        .map_err(|error| DlqError::Refused(format!("not a line of an export: {}", what_is_wrong(&error))))?;
    let before = content(dlq, &line.error_id)?.ok_or_else(|| DlqError::no_error(&line.error_id))?;
    let edit = edit_of(&line, &before)?;
    let sending = before_sending(dlq, &line.error_id)?;
    let edited = match consent {
        Consent::Look => try_edit(dlq.settings(), &before, &edit),
        Consent::OnlyValid => edit_if_valid(dlq, &line.error_id, &edit, actor)?,
        Consent::Any => edit_and_send(dlq, &line.error_id, &edit, actor)?,
    };
    Ok(match edited {
        Edited::Valid(_) | Edited::Restored => Imported::Edited(sending),
        Edited::StillInvalid(..) if consent == Consent::Any => Imported::Edited(sending),
        Edited::StillInvalid(_, error) => Imported::WouldFail(error),
        Edited::DoesNotFit(reason) => Imported::Refused(reason),
        Edited::Unchanged => Imported::Unchanged,
    })
}

fn edit_of(line: &Line, before: &Content) -> Result<Edit, DlqError> {
    let payload = match (&line.payload, &line.payload_base64) {
        (Some(text), None) => text.clone().into_bytes(),
        (None, Some(base64)) => {
            STANDARD.decode(base64).map_err(|error| DlqError::Refused(format!("payload_base64: {error}")))?
        }
        _ => return Err(DlqError::Refused("a line has either payload or payload_base64".to_owned())),
    };
    let of_line = |name: &str| line.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value);
    let is_row = of_line(header::FORMAT).is_some_and(|format| format == "csv");
    Ok(match of_line(header::COLUMNS).filter(|_| is_row) {
        Some(columns) if before.headers.get(header::COLUMNS) != Some(columns.as_bytes()) => {
            Edit::Row { payload, columns: columns.clone().into_bytes() }
        }
        _ => Edit::Payload(payload),
    })
}
