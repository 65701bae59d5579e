//! Bulk actions: begun, watched, cancelled.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use adpipe_dlq::jobs::{self, Job, Outcomes, Work};
use adpipe_dlq::patch::Patch;
use adpipe_dlq::{Dlq, DlqError, Filter};
use adpipe_ingest::http::Refusal;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::input::Posted;
use super::{Asking, answer, blocking, input, json};
use crate::app::App;

/// Bulk actions shown.
const SHOWN: u32 = 10;

/// Causes of new failures shown.
const MOST_FAILURES: usize = 5;

/// The outcomes of a bulk action are counted again after this many times as long as counting took.
const REST: u32 = 20;
const SHORTEST_REST: Duration = Duration::from_millis(500);

#[derive(Serialize)]
struct JobLine {
    #[serde(flatten)]
    job: Job,
    is_open: bool,
    /// What has come of the errors that it sent.
    outcomes: Outcomes,
    /// Why some failed again, values masked.
    failures: Vec<(String, u64)>,
}

/// What has come of a bulk action, and until when that is good enough.
#[derive(Clone)]
struct Counted {
    until: Instant,
    changed: i64,
    outcomes: Outcomes,
    failures: Vec<(String, u64)>,
}

/// Outcomes that were counted lately: of a million errors that takes a second.
#[derive(Default)]
pub(super) struct OutcomeCache(Mutex<HashMap<String, Counted>>);

impl OutcomeCache {
    fn of(&self, dlq: &Dlq, job: &Job) -> Result<Counted, DlqError> {
        let known = self.lock().get(&job.job_id).cloned();
        let is_settled =
            |known: &Counted| !job.is_open() && known.changed == job.changed && known.outcomes.waiting == 0;
        if let Some(known) = known.filter(|known| Instant::now() < known.until || is_settled(known)) {
            return Ok(known);
        }
        let started = Instant::now();
        let sends = matches!(job.kind.as_str(), "retry" | "edit");
        let outcomes = if sends { jobs::outcomes(dlq, &job.job_id)? } else { Outcomes::default() };
        let mut failures = if outcomes.failed > 0 { jobs::failures(dlq, &job.job_id)? } else { Vec::new() };
        failures.truncate(MOST_FAILURES);
        let until = Instant::now() + (started.elapsed() * REST).max(SHORTEST_REST);
        let counted = Counted { until, changed: job.changed, outcomes, failures };
        self.lock().insert(job.job_id.clone(), counted.clone());
        Ok(counted)
    }

    /// Forgets those that are no longer shown.
    fn keep(&self, jobs: &[Job]) {
        self.lock().retain(|id, _| jobs.iter().any(|job| job.job_id == *id));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Counted>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn line(app: &App, dlq: &Dlq, job: Job) -> Result<JobLine, DlqError> {
    let Counted { outcomes, failures, .. } = app.desk.outcomes.of(dlq, &job)?;
    Ok(JobLine { is_open: job.is_open(), outcomes, failures, job })
}

#[derive(Serialize)]
struct Jobs {
    jobs: Vec<JobLine>,
}

/// `GET /api/dlq/jobs`: the newest.
pub(super) async fn get_jobs(State(app): State<Arc<App>>, asking: Asking) -> Result<Response, Refusal> {
    let desk = Arc::clone(&app);
    answer(&app, asking, move |dlq| {
        let jobs = jobs::list(dlq, SHOWN)?;
        desk.desk.outcomes.keep(&jobs);
        let jobs = jobs.into_iter().map(|job| line(&desk, dlq, job)).collect::<Result<_, _>>()?;
        Ok(Jobs { jobs })
    })
    .await
}

/// `GET /api/dlq/jobs/{id}`.
pub(super) async fn get_job(
    State(app): State<Arc<App>>,
    asking: Asking,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let desk = Arc::clone(&app);
    answer(&app, asking, move |dlq| line(&desk, dlq, jobs::get(dlq, &id)?)).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewJob {
    /// retry, edit, discard, undo_discard.
    kind: String,
    filter: Filter,
    /// JSON Patch text, of an edit.
    patch: Option<String>,
    /// Of a discard.
    reason: Option<String>,
    /// Errors tried first; by default the configured number for an edit and 0 for a retry.
    canary: Option<u32>,
}

/// `POST /api/dlq/jobs`.
pub(super) async fn post_job(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Posted { value: new, held: _held }: Posted<NewJob>,
) -> Result<Response, Refusal> {
    let actor = input::actor(&headers)?;
    let usual = app.services.dlq.settings().canary;
    let (work, canary) = match new.kind.as_str() {
        "retry" => (Work::Retry, 0),
        "edit" => {
            let patch = Patch::from_json(new.patch.as_deref().unwrap_or_default()).map_err(super::refusal)?;
            (Work::Edit(patch), usual)
        }
        "discard" => (Work::Discard(new.reason.unwrap_or_default()), 0),
        "undo_discard" => (Work::UndoDiscard, 0),
        other => return Err(input::unprocessable(format!("there is no bulk action {other:?}"))),
    };
    let (filter, canary) = (new.filter, new.canary.unwrap_or(canary));
    json(&blocking(&app, move |dlq| jobs::create(dlq, &filter, &work, canary, &actor)).await?)
}

/// `POST /api/dlq/jobs/{id}/cancel`.
pub(super) async fn post_cancel(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let actor = input::actor(&headers)?;
    let job_id = id.clone();
    let is_cancelled = blocking(&app, move |dlq| jobs::cancel(dlq, &job_id, &actor)).await?;
    if !is_cancelled {
        return Err(Refusal::wrong(StatusCode::CONFLICT, "the bulk action has already ended"));
    }
    json(&blocking(&app, move |dlq| jobs::get(dlq, &id)).await?)
}
