//! Edits: what they would do, and doing them.

use adpipe_dlq::actions::Actor;
use adpipe_dlq::patch::Patch;
use adpipe_dlq::repair::{self, Edit, Edited, try_edit};
use adpipe_dlq::{Dlq, DlqError, Filter};
use adpipe_ingest::http::Refusal;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::actions::conflict;
use super::detail::Verdict;
use super::fields::{Changes, changes};
use super::filter::checked_ids;
use super::queue::{Queue, refusal};
use super::view::View;
use crate::answer::{Asking, json, unprocessable};
use crate::posted::{self, Posted};

/// Errors that a dry run looks at.
const DRY_RUN_LIMIT: u64 = 10_000;

/// One edit: the whole payload, or steps as JSON Patch text (so that a mistake is reported with the
/// line and column that the person sees).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EditInput {
    payload: Option<String>,
    patch: Option<String>,
    /// Send it again at once.
    #[serde(default)]
    send_again: bool,
    /// Send it also when it would fail.
    #[serde(default)]
    force: bool,
}

impl EditInput {
    fn edit(&self) -> Result<Edit, Refusal> {
        match (&self.payload, &self.patch) {
            (Some(payload), None) => Ok(Edit::Payload(payload.clone().into_bytes())),
            (None, Some(patch)) => Ok(Edit::Patch(Patch::from_json(patch).map_err(refusal)?)),
            _ => Err(unprocessable("either payload or patch is needed".to_owned())),
        }
    }
}

/// What an edit would do to one error.
#[derive(Serialize)]
struct Checked {
    /// valid, still_invalid, does_not_fit, unchanged.
    outcome: &'static str,
    /// Why it does not fit.
    reason: Option<String>,
    verdict: Option<Verdict>,
    after: Option<View>,
    changes: Option<Changes>,
}

/// `POST /api/dlq/errors/{id}/check`: changes nothing.
pub(crate) async fn post_check(
    State(queue): State<Queue>,
    asking: Asking,
    Path(id): Path<String>,
    Posted { value: input, held: _held }: Posted<EditInput>,
) -> Result<Response, Refusal> {
    let edit = input.edit()?;
    queue.json(asking, move |dlq| check(dlq, &id, &edit)).await
}

fn check(dlq: &Dlq, id: &str, edit: &Edit) -> Result<Checked, DlqError> {
    let before = repair::content(dlq, id)?.ok_or_else(|| DlqError::no_error(id))?;
    let nothing = |outcome, reason| Checked { outcome, reason, verdict: None, after: None, changes: None };
    let (outcome, after, problem) = match try_edit(dlq.settings(), &before, edit) {
        Edited::DoesNotFit(reason) => return Ok(nothing("does_not_fit", Some(reason))),
        Edited::Unchanged | Edited::Restored => return Ok(nothing("unchanged", None)),
        Edited::Valid(after) => ("valid", after, None),
        Edited::StillInvalid(after, error) => ("still_invalid", after, Some(error)),
    };
    Ok(Checked {
        outcome,
        reason: None,
        verdict: Some(Verdict::of(problem.as_ref())),
        changes: changes(&before, &after),
        after: Some(View::new(&after.payload, None)),
    })
}

/// `POST /api/dlq/errors/{id}/edit`.
pub(crate) async fn post_edit_one(
    State(queue): State<Queue>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Posted { value: input, held: _held }: Posted<EditInput>,
) -> Result<Response, Refusal> {
    let edit = input.edit()?;
    if !input.send_again || input.force {
        return save(&queue, id, &headers, edit, input.send_again).await;
    }
    let actor = posted::actor(&headers)?;
    let error_id = id.clone();
    let edited = queue
        .run(move |dlq| repair::edit_if_valid(dlq, &error_id, &edit, Actor { name: &actor, job_id: None }));
    match edited.await? {
        Edited::Valid(_) | Edited::Restored => json(&serde_json::json!({ "changed": 1 })),
        // Nothing was saved: the page asks whether to send it anyway.
        Edited::StillInvalid(_, error) => {
            json(&serde_json::json!({ "changed": 0, "verdict": Verdict::of(Some(&error)) }))
        }
        Edited::DoesNotFit(reason) => Err(refused(&queue, id, reason).await?),
        Edited::Unchanged => Err(refused(&queue, id, "this edit changes nothing".to_owned()).await?),
    }
}

/// Why an edit was not made: the error's status, when that is it; else the edit itself.
async fn refused(queue: &Queue, id: String, reason: String) -> Result<Refusal, Refusal> {
    let error_id = id.clone();
    let story = queue.run(move |dlq| adpipe_dlq::report::story(dlq, &error_id)).await?;
    match story.error.status.as_str() {
        "pending" | "exhausted" => Ok(unprocessable(reason)),
        _ => conflict(queue, id).await,
    }
}

/// `POST /api/dlq/errors/{id}/undo-edit`.
pub(crate) async fn post_undo_edit(
    State(queue): State<Queue>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    save(&queue, id, &headers, Edit::Undo, false).await
}

async fn save(
    queue: &Queue,
    id: String,
    headers: &HeaderMap,
    edit: Edit,
    send_again: bool,
) -> Result<Response, Refusal> {
    let actor = posted::actor(headers)?;
    let error_id = id.clone();
    let saved = queue.run(move |dlq| {
        repair::edit(dlq, &error_id, &edit, send_again, Actor { name: &actor, job_id: None })
    });
    match saved.await {
        Ok(()) => json(&serde_json::json!({ "changed": 1 })),
        // The edit may be wrong, or someone else was faster.
        Err(at_fault) if at_fault.status == StatusCode::UNPROCESSABLE_ENTITY => {
            Err(refused(queue, id, at_fault.message).await?)
        }
        Err(other) => Err(other),
    }
}

/// An edit of many errors: of those named, or of those that a filter meets.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ManyInput {
    ids: Option<Vec<String>>,
    filter: Option<Filter>,
    patch: String,
}

/// `POST /api/dlq/dry-run`: changes nothing.
pub(crate) async fn post_dry_run(
    State(queue): State<Queue>,
    Posted { value: input, held: _held }: Posted<ManyInput>,
) -> Result<Response, Refusal> {
    let patch = Patch::from_json(&input.patch).map_err(refusal)?;
    let run = match (input.ids, input.filter) {
        (Some(ids), None) => {
            checked_ids(&ids)?;
            queue.search(move |dlq| repair::dry_run_of(dlq, &ids, &Edit::Patch(patch))).await?
        }
        (None, Some(filter)) => {
            queue.search(move |dlq| repair::dry_run(dlq, &filter, &patch, DRY_RUN_LIMIT)).await?
        }
        _ => return Err(unprocessable("either ids or filter is needed".to_owned())),
    };
    json(&run)
}

/// `POST /api/dlq/edit`: edits the errors named and sends them again; one whose event would fail
/// again, or that the edit does not fit, is left alone.
pub(crate) async fn post_edit(
    State(queue): State<Queue>,
    headers: HeaderMap,
    Posted { value: input, held: _held }: Posted<ManyInput>,
) -> Result<Response, Refusal> {
    let actor = posted::actor(&headers)?;
    let edit = Edit::Patch(Patch::from_json(&input.patch).map_err(refusal)?);
    let ids = input.ids.unwrap_or_default();
    checked_ids(&ids)?;
    let changed = queue.search(move |dlq| {
        let mut changed = 0_u64;
        for id in &ids {
            match repair::edit_if_valid(dlq, id, &edit, Actor { name: &actor, job_id: None }) {
                Ok(Edited::Valid(_)) => changed += 1,
                // It would fail again, the edit does not fit, or someone else was faster.
                Ok(_) | Err(DlqError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok((changed, ids.len() as u64 - changed))
    });
    let (changed, left_alone) = changed.await?;
    json(&serde_json::json!({ "changed": changed, "left_alone": left_alone }))
}
