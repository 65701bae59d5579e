//! The page "DAGs": what is run, how it went, and its buttons.
//!
//! [`view`] says what the page shows, this file answers requests. Buttons only queue or mark: the
//! work is the scheduler's, whichever process that is in.

mod view;

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;

use adpipe_ingest::http::Refusal;
use adpipe_schedule::ScheduleError;
use adpipe_schedule::dag::Dags;
use adpipe_schedule::requests::{self, Redo};
use adpipe_schedule::state::RunKey;
use adpipe_schedule::store::Store;
use adpipe_warehouse::Warehouse;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use jiff::Timestamp;
use jiff::civil::Date;
use minijinja::context;
use serde::Deserialize;

use crate::answer::{Answers, Asking};
use crate::page::Pages;
use crate::posted::Posted;
use crate::query::Parameters;

/// A log is sent in pieces of at most this many bytes.
const LOG_PIECE: u64 = 256 * 1024;

/// The DAGs and what is stored of their runs.
#[derive(Clone)]
pub(crate) struct DagRuns {
    dags: Arc<Dags>,
    warehouse: Arc<dyn Warehouse>,
    answers: Answers,
}

impl DagRuns {
    pub fn new(dags: Dags, warehouse: Arc<dyn Warehouse>, answers: Answers) -> DagRuns {
        DagRuns { dags: Arc::new(dags), warehouse, answers }
    }

    /// Does `work` where it may block, and gives its JSON.
    async fn json(
        &self,
        asking: Asking,
        work: impl FnOnce(&Dags, &mut Store) -> Result<serde_json::Value, ScheduleError> + Send + 'static,
    ) -> Result<Response, Refusal> {
        let (dags, mut store) = (Arc::clone(&self.dags), Store::new(Arc::clone(&self.warehouse)));
        self.answers.json(asking, move || work(&dags, &mut store).map_err(refusal)).await
    }
}

fn refusal(error: ScheduleError) -> Refusal {
    match error {
        ScheduleError::NotThere(message) => Refusal::wrong(StatusCode::NOT_FOUND, message),
        ScheduleError::Refused(message) | ScheduleError::Asked(message) => {
            Refusal::wrong(StatusCode::CONFLICT, message)
        }
        ScheduleError::Warehouse(error) => Refusal::unavailable(error.to_string()),
        other => Refusal::internal(&other),
    }
}

/// `GET /dags`.
pub(crate) async fn get_page(
    State(pages): State<Pages>,
    Query(query): Query<Parameters>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    pages.show("dags.html", &query, &headers, context! { page => "dags" }).await
}

pub(crate) async fn get_dags(State(runs): State<DagRuns>, asking: Asking) -> Result<Response, Refusal> {
    runs.json(asking, |dags, store| view::all(dags, store)).await
}

pub(crate) async fn get_dag(
    State(runs): State<DagRuns>,
    asking: Asking,
    Path(dag): Path<String>,
) -> Result<Response, Refusal> {
    runs.json(asking, move |dags, store| view::one(dags, dags.get(&dag)?, store)).await
}

pub(crate) async fn get_run(
    State(runs): State<DagRuns>,
    asking: Asking,
    Path((dag_id, run_id)): Path<(String, String)>,
) -> Result<Response, Refusal> {
    runs.json(asking, move |_, store| {
        let key = RunKey { dag_id, run_id };
        let run = store.run(&key)?.ok_or_else(|| no_such_run(&key))?;
        Ok(view::run_with_tries(&run, &store.tries(&key)?))
    })
    .await
}

#[derive(Deserialize)]
pub(crate) struct LogQuery {
    task: String,
    #[serde(rename = "try")]
    try_number: i64,
    #[serde(default)]
    from: u64,
}

/// A piece of an attempt's log, and where the next one begins.
pub(crate) async fn get_log(
    State(runs): State<DagRuns>,
    asking: Asking,
    Path((dag_id, run_id)): Path<(String, String)>,
    Query(query): Query<LogQuery>,
) -> Result<Response, Refusal> {
    runs.json(asking, move |_, store| {
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
pub(crate) struct RunOrder {
    date: Option<String>,
}

pub(crate) async fn post_run(
    State(runs): State<DagRuns>,
    asking: Asking,
    Path(dag): Path<String>,
    Posted { value: order, held: _held }: Posted<RunOrder>,
) -> Result<Response, Refusal> {
    runs.json(asking, move |dags, store| {
        let date = order.date.as_deref().map(day).transpose()?;
        let key = requests::run_now(store, dags, &dag, date, Timestamp::now())?;
        Ok(serde_json::json!({ "run": key.run_id }))
    })
    .await
}

#[derive(Deserialize)]
pub(crate) struct BackfillOrder {
    from: String,
    to: String,
    #[serde(default)]
    all: bool,
}

pub(crate) async fn post_backfill(
    State(runs): State<DagRuns>,
    asking: Asking,
    Path(dag): Path<String>,
    Posted { value: order, held: _held }: Posted<BackfillOrder>,
) -> Result<Response, Refusal> {
    runs.json(asking, move |dags, store| {
        let (range, now) = ((day(&order.from)?, day(&order.to)?), Timestamp::now());
        let found = requests::backfill(store, dags, &dag, range, redo(order.all), now)?;
        Ok(serde_json::json!({
            "queued": found.queued.len(),
            "succeeded": found.succeeded,
            "active": found.active,
        }))
    })
    .await
}

#[derive(Deserialize)]
pub(crate) struct RetryOrder {
    #[serde(default)]
    all: bool,
}

pub(crate) async fn post_retry(
    State(runs): State<DagRuns>,
    asking: Asking,
    Path((dag_id, run_id)): Path<(String, String)>,
    Posted { value: order, held: _held }: Posted<RetryOrder>,
) -> Result<Response, Refusal> {
    runs.json(asking, move |dags, store| {
        let key = RunKey { dag_id, run_id };
        requests::retry(store, dags, &key, redo(order.all), Timestamp::now())?;
        Ok(serde_json::json!({}))
    })
    .await
}

pub(crate) async fn post_cancel(
    State(runs): State<DagRuns>,
    asking: Asking,
    Path((dag_id, run_id)): Path<(String, String)>,
) -> Result<Response, Refusal> {
    runs.json(asking, move |_, store| {
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
