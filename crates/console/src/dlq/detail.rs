//! One error, whole.

use adpipe_dlq::repair::{self, Content};
use adpipe_dlq::report::{self, Act, ErrorLine, Story, Try};
use adpipe_dlq::{Dlq, DlqError};
use adpipe_event::EventError;
use adpipe_ingest::http::Refusal;
use adpipe_log::{Headers, header};
use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, StatusCode, header as http_header};
use axum::response::{IntoResponse, Response};
use hyper::body::Bytes;
use serde::Serialize;

use super::fields::{Changes, changes};
use super::queue::{Queue, refusal};
use super::view::{View, bad_part};
use crate::answer::{Asking, unprocessable};
use crate::outbox::counted;
use crate::query::{Pairs, last};

/// Bytes of a header's value, or of a key, that are shown.
const HEADER_BYTES: usize = 4 << 10;

#[derive(Serialize)]
struct Detail {
    error: ErrorLine,
    /// What may be done with it now.
    allowed: Vec<&'static str>,
    /// json or csv.
    format: &'static str,
    key: Option<View>,
    headers: Vec<HeaderView>,
    received: View,
    /// What is sent instead.
    edited: Option<View>,
    /// What the edit changed; absent when the payloads cannot be compared field by field.
    changes: Option<Changes>,
    /// Whether what would be sent would be counted; absent when nothing would be sent.
    verdict: Option<Verdict>,
    tries: Vec<Try>,
    acts: Vec<Act>,
}

#[derive(Serialize)]
struct HeaderView {
    name: String,
    value: View,
}

/// Whether an event would be counted, and if not, why.
#[derive(Serialize)]
pub(super) struct Verdict {
    pub is_valid: bool,
    pub error_type: Option<&'static str>,
    pub field: Option<&'static str>,
    pub message: Option<String>,
}

impl Verdict {
    /// `problem`: the rule that it breaks, if it breaks one.
    pub fn of(problem: Option<&EventError>) -> Verdict {
        match problem {
            None => Verdict { is_valid: true, error_type: None, field: None, message: None },
            Some(error) => Verdict {
                is_valid: false,
                error_type: Some(error.error_type.as_str()),
                field: error.field,
                message: Some(error.message.clone()),
            },
        }
    }
}

/// `GET /api/dlq/errors/{id}`.
pub(crate) async fn get_error(
    State(queue): State<Queue>,
    asking: Asking,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    queue.json(asking, move |dlq| detail(dlq, &id)).await
}

fn detail(dlq: &Dlq, id: &str) -> Result<Detail, DlqError> {
    let Story { error, key, raw_payload, headers, edited_payload, edited_headers, tries, acts } =
        report::story(dlq, id)?;
    let allowed = allowed(&error);
    let received = Content { payload: raw_payload, headers };
    let edited = edited_payload.map(|payload| Content {
        payload,
        headers: edited_headers.unwrap_or_else(|| received.headers.clone()),
    });
    let sent = edited.as_ref().unwrap_or(&received);
    // Of an edited one the message may be about what was sent since.
    let mark =
        |content: &Content| bad_part(content, error.field.as_deref(), &error.message, &dlq.settings().fields);
    let verdict = allowed.contains(&"retry").then(|| {
        let checked = repair::check(dlq.settings(), sent);
        Verdict::of(checked.as_ref().err())
    });
    let shown = |bytes: &[u8]| View::new(&bytes[..bytes.len().min(HEADER_BYTES)], None);
    let header_views = |headers: &Headers| -> Vec<HeaderView> {
        headers.0.iter().map(|(name, value)| HeaderView { name: name.clone(), value: shown(value) }).collect()
    };
    Ok(Detail {
        allowed,
        format: if received.headers.text(header::FORMAT) == Some("csv") { "csv" } else { "json" },
        key: (!key.is_empty()).then(|| shown(&key)),
        headers: header_views(&received.headers),
        received: View::new(&received.payload, mark(&received)),
        changes: edited.as_ref().and_then(|edited| changes(&received, edited)),
        edited: edited.as_ref().map(|edited| View::new(&edited.payload, None)),
        verdict,
        error,
        tries,
        acts,
    })
}

/// What the library would do with an error of this status.
fn allowed(error: &ErrorLine) -> Vec<&'static str> {
    match error.status.as_str() {
        "pending" | "exhausted" if error.is_edited => vec!["retry", "edit", "undo_edit", "discard"],
        "pending" | "exhausted" => vec!["retry", "edit", "discard"],
        "discarded" => vec!["undo_discard"],
        _ => Vec::new(),
    }
}

/// `GET /api/dlq/errors/{id}/payload?which=received|edited`: the bytes, for a file. Whatever they
/// are, no browser may take them for a page.
pub(crate) async fn get_payload(
    State(queue): State<Queue>,
    Extension(client): Asking,
    Path(id): Path<String>,
    Query(query): Query<Pairs>,
) -> Result<Response, Refusal> {
    let is_edited = match last(&query, "which").unwrap_or("received") {
        "received" => false,
        "edited" => true,
        _ => return Err(unprocessable("which must be received or edited".to_owned())),
    };
    let (dlq, outbox) = (queue.dlq.clone(), queue.answers.outbox.clone());
    let found = queue.answers.work.run(move || -> Result<_, Refusal> {
        let story = report::story(&dlq, &id).map_err(refusal)?;
        let payload = if is_edited {
            story
                .edited_payload
                .ok_or_else(|| Refusal::wrong(StatusCode::NOT_FOUND, "this error has not been edited"))?
        } else {
            story.raw_payload
        };
        Ok((story.error.error_id, outbox.hold(client, Bytes::from(payload))?))
    });
    let (error_id, payload) = found.await??;
    let name = format!("attachment; filename=\"{error_id}.bin\"");
    let name = HeaderValue::from_str(&name).map_err(|error| Refusal::internal(&error))?;
    let headers = [
        (http_header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (http_header::CONTENT_DISPOSITION, name),
        (http_header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok(counted((headers, payload).into_response()))
}
