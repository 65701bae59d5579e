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

use super::queue::{Queue, refusal};
use crate::answer::{Asking, json, unprocessable};
use crate::posted::{self, Posted};

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
struct CountedOutcomes {
    until: Instant,
    changed: i64,
    outcomes: Outcomes,
    failures: Vec<(String, u64)>,
}

/// Outcomes that were counted lately: of a million errors that takes a second.
#[derive(Clone, Default)]
pub(crate) struct OutcomeCache(Arc<Mutex<HashMap<String, CountedOutcomes>>>);

impl OutcomeCache {
    fn of(&self, dlq: &Dlq, job: &Job) -> Result<CountedOutcomes, DlqError> {
        let known = self.lock().get(&job.job_id).cloned();
        let is_settled = |known: &CountedOutcomes| {
            !job.is_open() && known.changed == job.changed && known.outcomes.waiting == 0
        };
        if let Some(known) = known.filter(|known| Instant::now() < known.until || is_settled(known)) {
            return Ok(known);
        }
        let started = Instant::now();
        let sends = matches!(job.kind.as_str(), "retry" | "edit");
        let outcomes = if sends { jobs::outcomes(dlq, &job.job_id)? } else { Outcomes::default() };
        let mut failures = if outcomes.failed > 0 { jobs::failures(dlq, &job.job_id)? } else { Vec::new() };
        failures.truncate(MOST_FAILURES);
        let until = Instant::now() + (started.elapsed() * REST).max(SHORTEST_REST);
        let counted = CountedOutcomes { until, changed: job.changed, outcomes, failures };
        self.lock().insert(job.job_id.clone(), counted.clone());
        Ok(counted)
    }

    fn line(&self, dlq: &Dlq, job: Job) -> Result<JobLine, DlqError> {
        let CountedOutcomes { outcomes, failures, .. } = self.of(dlq, &job)?;
        Ok(JobLine { is_open: job.is_open(), outcomes, failures, job })
    }

    /// Forgets those that are no longer shown.
    fn keep(&self, jobs: &[Job]) {
        self.lock().retain(|id, _| jobs.iter().any(|job| job.job_id == *id));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, CountedOutcomes>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Serialize)]
struct Jobs {
    jobs: Vec<JobLine>,
}

/// `GET /api/dlq/jobs`: the newest.
pub(crate) async fn get_jobs(
    State(queue): State<Queue>,
    State(outcomes): State<OutcomeCache>,
    asking: Asking,
) -> Result<Response, Refusal> {
    let newest = move |dlq: &Dlq| {
        let jobs = jobs::list(dlq, SHOWN)?;
        outcomes.keep(&jobs);
        let jobs = jobs.into_iter().map(|job| outcomes.line(dlq, job)).collect::<Result<_, _>>()?;
        Ok(Jobs { jobs })
    };
    queue.json(asking, newest).await
}

/// `GET /api/dlq/jobs/{id}`.
pub(crate) async fn get_job(
    State(queue): State<Queue>,
    State(outcomes): State<OutcomeCache>,
    asking: Asking,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    queue.json(asking, move |dlq| outcomes.line(dlq, jobs::get(dlq, &id)?)).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewJob {
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
pub(crate) async fn post_job(
    State(queue): State<Queue>,
    headers: HeaderMap,
    Posted { value: new, held: _held }: Posted<NewJob>,
) -> Result<Response, Refusal> {
    let actor = posted::actor(&headers)?;
    let usual = queue.dlq.settings().canary;
    let (work, canary) = match new.kind.as_str() {
        "retry" => (Work::Retry, 0),
        "edit" => {
            let patch = Patch::from_json(new.patch.as_deref().unwrap_or_default()).map_err(refusal)?;
            (Work::Edit(patch), usual)
        }
        "discard" => (Work::Discard(new.reason.unwrap_or_default()), 0),
        "undo_discard" => (Work::UndoDiscard, 0),
        other => return Err(unprocessable(format!("there is no bulk action {other:?}"))),
    };
    let (filter, canary) = (new.filter, new.canary.unwrap_or(canary));
    json(&queue.run(move |dlq| jobs::create(dlq, &filter, &work, canary, &actor)).await?)
}

/// `POST /api/dlq/jobs/{id}/cancel`.
pub(crate) async fn post_cancel(
    State(queue): State<Queue>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let actor = posted::actor(&headers)?;
    let job_id = id.clone();
    let is_cancelled = queue.run(move |dlq| jobs::cancel(dlq, &job_id, &actor)).await?;
    if !is_cancelled {
        return Err(Refusal::wrong(StatusCode::CONFLICT, "the bulk action has already ended"));
    }
    json(&queue.run(move |dlq| jobs::get(dlq, &id)).await?)
}
