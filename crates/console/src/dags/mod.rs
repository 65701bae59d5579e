//! The page "DAGs": what is run, how it went, and its buttons.
//!
//! [`view`] says what the page shows, this file answers requests. Buttons only queue or mark: the
//! work is the scheduler's, whichever process that is in.

mod view;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;

use adpipe_ingest::http::{Client, Refusal};
use adpipe_schedule::ScheduleError;
use adpipe_schedule::requests::{self, Redo};
use adpipe_schedule::state::RunKey;
use adpipe_schedule::store::Store;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Router};
use jiff::Timestamp;
use jiff::civil::Date;
use minijinja::context;
use serde::Deserialize;

use crate::answer::made;
use crate::app::App;
use crate::csrf;
use crate::dlq::input::Posted;
use crate::page;

/// The person who asks.
type Asking = Extension<Client>;

/// A log is sent in pieces of at most this many bytes.
const LOG_PIECE: u64 = 256 * 1024;

/// The page, its figures, and its buttons.
pub(crate) fn routes(app: &Arc<App>) -> Router<Arc<App>> {
    let buttons = Router::new()
        .route("/api/dags/{dag}/run", post(post_run))
        .route("/api/dags/{dag}/backfill", post(post_backfill))
        .route("/api/dags/{dag}/runs/{run}/retry", post(post_retry))
        .route("/api/dags/{dag}/runs/{run}/cancel", post(post_cancel))
        .layer(from_fn_with_state(Arc::clone(app), csrf::demand));
    Router::new()
        .route("/dags", get(get_page))
        .route("/api/dags", get(get_dags))
        .route("/api/dags/{dag}", get(get_dag))
        .route("/api/dags/{dag}/runs/{run}", get(get_run))
        .route("/api/dags/{dag}/runs/{run}/log", get(get_log))
        .merge(buttons)
}

async fn get_page(
    State(app): State<Arc<App>>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    page::show(&app, "dags.html", &query, &headers, context! { page => "dags" }).await
}

async fn get_dags(State(app): State<Arc<App>>, asking: Asking) -> Result<Response, Refusal> {
    answer(app, asking, |app, store| view::all(&app.config.dags, store)).await
}

async fn get_dag(
    State(app): State<Arc<App>>,
    asking: Asking,
    Path(dag): Path<String>,
) -> Result<Response, Refusal> {
    answer(app, asking, move |app, store| view::one(&app.config.dags, app.config.dags.get(&dag)?, store))
        .await
}

async fn get_run(
    State(app): State<Arc<App>>,
    asking: Asking,
    Path((dag_id, run_id)): Path<(String, String)>,
) -> Result<Response, Refusal> {
    answer(app, asking, move |_, store| {
        let key = RunKey { dag_id, run_id };
        let run = store.run(&key)?.ok_or_else(|| no_such_run(&key))?;
        Ok(view::run_with_tries(&run, &store.tries(&key)?))
    })
    .await
}

#[derive(Deserialize)]
struct LogQuery {
    task: String,
    #[serde(rename = "try")]
    try_number: i64,
    #[serde(default)]
    from: u64,
}

/// A piece of an attempt's log, and where the next one begins.
async fn get_log(
    State(app): State<Arc<App>>,
    asking: Asking,
    Path((dag_id, run_id)): Path<(String, String)>,
    Query(query): Query<LogQuery>,
) -> Result<Response, Refusal> {
    answer(app, asking, move |_, store| {
        let key = RunKey { dag_id, run_id };
        let tries = store.tries(&key)?;
        let wanted = tries
            .iter()
            .find(|one| one.key.task_id == query.task && one.key.try_number == query.try_number)
            .ok_or_else(|| no_such_run(&key))?;
        let is_over = wanted.state.is_finished();
        let Ok(mut log) = File::open(&wanted.log_file) else {
            return Ok(serde_json::json!({ "text": "", "next": 0, "over": is_over, "missing": true }));
        };
        let mut piece = Vec::new();
        let read =
            log.seek(SeekFrom::Start(query.from)).and_then(|_| log.take(LOG_PIECE).read_to_end(&mut piece));
        read.map_err(|source| ScheduleError::Io { what: "cannot read the log".to_owned(), source })?;
        // A character that is not complete yet comes whole with the next piece.
        let whole = match std::str::from_utf8(&piece) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => piece.len(),
        };
        Ok(serde_json::json!({
            "text": String::from_utf8_lossy(&piece[..whole]),
            "next": query.from + whole as u64,
            "over": is_over && piece.len() < LOG_PIECE as usize,
            "missing": false,
        }))
    })
    .await
}

#[derive(Deserialize)]
struct RunOrder {
    date: Option<String>,
}

async fn post_run(
    State(app): State<Arc<App>>,
    asking: Asking,
    Path(dag): Path<String>,
    Posted { value: order, held: _held }: Posted<RunOrder>,
) -> Result<Response, Refusal> {
    answer(app, asking, move |app, store| {
        let date = order.date.as_deref().map(day).transpose()?;
        let key = requests::run_now(store, &app.config.dags, &dag, date, Timestamp::now())?;
        Ok(serde_json::json!({ "run": key.run_id }))
    })
    .await
}

#[derive(Deserialize)]
struct BackfillOrder {
    from: String,
    to: String,
    #[serde(default)]
    all: bool,
}

async fn post_backfill(
    State(app): State<Arc<App>>,
    asking: Asking,
    Path(dag): Path<String>,
    Posted { value: order, held: _held }: Posted<BackfillOrder>,
) -> Result<Response, Refusal> {
    answer(app, asking, move |app, store| {
        let (range, now) = ((day(&order.from)?, day(&order.to)?), Timestamp::now());
        let found = requests::backfill(store, &app.config.dags, &dag, range, redo(order.all), now)?;
        Ok(serde_json::json!({
            "queued": found.queued.len(),
            "succeeded": found.succeeded,
            "active": found.active,
        }))
    })
    .await
}

#[derive(Deserialize)]
struct RetryOrder {
    #[serde(default)]
    all: bool,
}

async fn post_retry(
    State(app): State<Arc<App>>,
    asking: Asking,
    Path((dag_id, run_id)): Path<(String, String)>,
    Posted { value: order, held: _held }: Posted<RetryOrder>,
) -> Result<Response, Refusal> {
    answer(app, asking, move |app, store| {
        let key = RunKey { dag_id, run_id };
        requests::retry(store, &app.config.dags, &key, redo(order.all), Timestamp::now())?;
        Ok(serde_json::json!({}))
    })
    .await
}

async fn post_cancel(
    State(app): State<Arc<App>>,
    asking: Asking,
    Path((dag_id, run_id)): Path<(String, String)>,
) -> Result<Response, Refusal> {
    answer(app, asking, move |_, store| {
        requests::cancel(store, &RunKey { dag_id, run_id }, Timestamp::now())?;
        Ok(serde_json::json!({}))
    })
    .await
}

fn day(text: &str) -> Result<Date, ScheduleError> {
    text.parse().map_err(|_| ScheduleError::Refused(format!("{text:?} is not a day like 2026-01-31")))
}

fn redo(all: bool) -> Redo {
    if all { Redo::All } else { Redo::Failed }
}

fn no_such_run(key: &RunKey) -> ScheduleError {
    ScheduleError::NotThere(format!("DAG {} has no run {}", key.dag_id, key.run_id))
}

/// Does `work` where it may block, and gives its JSON.
async fn answer(
    app: Arc<App>,
    Extension(client): Asking,
    work: impl FnOnce(&App, &mut Store) -> Result<serde_json::Value, ScheduleError> + Send + 'static,
) -> Result<Response, Refusal> {
    let shared = Arc::clone(&app);
    made(&app, client, move || {
        let mut store = Store::new(Arc::clone(&shared.services.warehouse));
        work(&shared, &mut store).map_err(|error| match error {
            ScheduleError::NotThere(message) => Refusal::wrong(StatusCode::NOT_FOUND, message),
            ScheduleError::Refused(message) | ScheduleError::Asked(message) => {
                Refusal::wrong(StatusCode::CONFLICT, message)
            }
            ScheduleError::Warehouse(error) => Refusal::unavailable(error.to_string()),
            other => Refusal::internal(&other),
        })
    })
    .await
}
