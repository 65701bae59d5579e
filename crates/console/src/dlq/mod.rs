//! The pages and the API of the dead-letter queue.
//!
//! `pages.rs` gives the three pages; their scripts ask `lists.rs` (groups, backlog, lists, counts;
//! `causes.rs` pages the groups), `detail.rs` (one error whole) and `jobs.rs` (bulk actions), and act
//! through `actions.rs` and `edits.rs`. `waiting.rs` knows what is not stored yet. `input.rs` reads
//! what comes in, `view.rs` and `fields.rs` prepare payloads for display. Actions require the token of
//! `csrf.rs`.

mod actions;
mod causes;
mod detail;
mod edits;
mod fields;
pub(crate) mod input;
mod jobs;
mod lists;
mod pages;
mod view;
mod waiting;

use std::sync::Arc;

use adpipe_dlq::{Dlq, DlqError};
use adpipe_ingest::http::{Client, Refusal};
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Router};
use serde::Serialize;
use tokio::sync::Semaphore;

use crate::answer::{self, json};
use crate::app::App;
use crate::csrf;

/// Searches without an end of their own (dry runs, counts) under way at the same time.
const LONG_SEARCHES: usize = 2;

/// What the handlers of this folder share.
pub(crate) struct Desk {
    outcomes: jobs::OutcomeCache,
    waiting: waiting::WaitingErrors,
    long_searches: Arc<Semaphore>,
}

impl Desk {
    pub fn new() -> Desk {
        Desk {
            outcomes: jobs::OutcomeCache::default(),
            waiting: waiting::WaitingErrors::default(),
            long_searches: Arc::new(Semaphore::new(LONG_SEARCHES)),
        }
    }
}

/// The routes of the dead-letter queue.
pub(crate) fn routes(app: &Arc<App>) -> Router<Arc<App>> {
    let acts = Router::new()
        .route("/api/dlq/retry", post(actions::post_retry))
        .route("/api/dlq/discard", post(actions::post_discard))
        .route("/api/dlq/undo-discard", post(actions::post_undo_discard))
        .route("/api/dlq/edit", post(edits::post_edit))
        .route("/api/dlq/errors/{id}/check", post(edits::post_check))
        .route("/api/dlq/errors/{id}/edit", post(edits::post_edit_one))
        .route("/api/dlq/errors/{id}/undo-edit", post(edits::post_undo_edit))
        .route("/api/dlq/dry-run", post(edits::post_dry_run))
        .route("/api/dlq/jobs", post(jobs::post_job))
        .route("/api/dlq/jobs/{id}/cancel", post(jobs::post_cancel))
        .route_layer(from_fn_with_state(Arc::clone(app), csrf::demand));
    Router::new()
        .route("/dlq", get(pages::get_groups_page))
        .route("/dlq/errors", get(pages::get_list_page))
        .route("/dlq/errors/{id}", get(pages::get_error_page))
        .route("/api/dlq/summary", get(lists::get_summary))
        .route("/api/dlq/backlog", get(lists::get_backlog))
        .route("/api/dlq/errors", get(lists::get_errors))
        .route("/api/dlq/count", get(lists::get_count))
        .route("/api/dlq/errors/{id}", get(detail::get_error))
        .route("/api/dlq/errors/{id}/payload", get(detail::get_payload))
        .route("/api/dlq/jobs", get(jobs::get_jobs))
        .route("/api/dlq/jobs/{id}", get(jobs::get_job))
        .merge(acts)
}

/// Runs `work`, which may wait for the database, away from the sockets.
async fn blocking<T: Send + 'static>(
    app: &App,
    work: impl FnOnce(&Dlq) -> Result<T, DlqError> + Send + 'static,
) -> Result<T, Refusal> {
    let dlq = app.services.dlq.clone();
    app.work.run(move || work(&dlq)).await?.map_err(refusal)
}

/// The person who asks.
type Asking = Extension<Client>;

/// The same, and answers with what comes of it.
async fn answer<T: Serialize>(
    app: &App,
    Extension(client): Asking,
    work: impl FnOnce(&Dlq) -> Result<T, DlqError> + Send + 'static,
) -> Result<Response, Refusal> {
    let dlq = app.services.dlq.clone();
    answer::made(app, client, move || work(&dlq).map_err(refusal)).await
}

/// The same for a search that may take seconds; too many at once are refused.
async fn searching<T: Send + 'static>(
    app: &App,
    work: impl FnOnce(&Dlq) -> Result<T, DlqError> + Send + 'static,
) -> Result<T, Refusal> {
    let permit = Arc::clone(&app.desk.long_searches)
        .try_acquire_owned()
        .map_err(|_| Refusal::busy("other long searches are running; try again in a moment"))?;
    // It belongs to the work, which continues when its page is closed.
    blocking(app, move |dlq| {
        let done = work(dlq);
        drop(permit);
        done
    })
    .await
}

fn refusal(error: DlqError) -> Refusal {
    match error {
        DlqError::NotFound(message) => Refusal::wrong(axum::http::StatusCode::NOT_FOUND, message),
        DlqError::Refused(message) | DlqError::Asked(message) => {
            Refusal::wrong(axum::http::StatusCode::UNPROCESSABLE_ENTITY, message)
        }
        error @ (DlqError::Warehouse(_) | DlqError::Log(_)) => Refusal::unavailable(error.to_string()),
    }
}
