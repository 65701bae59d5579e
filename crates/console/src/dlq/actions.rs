//! What a person does with errors that are named one by one.

use adpipe_dlq::actions::{Actor, discard, retry, undo_discard};
use adpipe_dlq::report;
use adpipe_dlq::{Dlq, DlqError};
use adpipe_ingest::http::Refusal;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::filter::checked_ids;
use super::queue::Queue;
use crate::answer::json;
use crate::posted::{self, Posted};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Named {
    ids: Vec<String>,
    /// Of a discard.
    #[serde(default)]
    reason: String,
}

#[derive(Serialize)]
struct Changed {
    /// Errors that were changed.
    changed: u64,
    /// Errors whose status did not allow it, or that are no longer there.
    left_alone: u64,
}

/// `POST /api/dlq/retry`.
pub(crate) async fn post_retry(
    State(queue): State<Queue>,
    headers: HeaderMap,
    body: Posted<Named>,
) -> Result<Response, Refusal> {
    act(&queue, &headers, body, |dlq, named, actor| retry(dlq, &named.ids, actor)).await
}

/// `POST /api/dlq/discard`.
pub(crate) async fn post_discard(
    State(queue): State<Queue>,
    headers: HeaderMap,
    body: Posted<Named>,
) -> Result<Response, Refusal> {
    act(&queue, &headers, body, |dlq, named, actor| discard(dlq, &named.ids, &named.reason, actor)).await
}

/// `POST /api/dlq/undo-discard`.
pub(crate) async fn post_undo_discard(
    State(queue): State<Queue>,
    headers: HeaderMap,
    body: Posted<Named>,
) -> Result<Response, Refusal> {
    act(&queue, &headers, body, |dlq, named, actor| undo_discard(dlq, &named.ids, actor)).await
}

async fn act(
    queue: &Queue,
    headers: &HeaderMap,
    Posted { value: named, held: _held }: Posted<Named>,
    action: fn(&Dlq, &Named, Actor<'_>) -> Result<u64, DlqError>,
) -> Result<Response, Refusal> {
    let actor = posted::actor(headers)?;
    checked_ids(&named.ids)?;
    let only = (named.ids.len() == 1).then(|| named.ids[0].clone());
    let asked = named.ids.len() as u64;
    let changed = queue.run(move |dlq| action(dlq, &named, Actor { name: &actor, job_id: None })).await?;
    // Of one error it can be said why.
    if let (0, Some(id)) = (changed, only) {
        return Err(conflict(queue, id).await?);
    }
    json(&Changed { changed, left_alone: asked - changed })
}

/// Why an error could not be changed: its status. "Not found" when there is no such error.
pub(super) async fn conflict(queue: &Queue, id: String) -> Result<Refusal, Refusal> {
    let story = queue.run(move |dlq| report::story(dlq, &id)).await?;
    let message = format!("the error is now {}; this action is not possible", story.error.status);
    Ok(Refusal::wrong(StatusCode::CONFLICT, message))
}
