//! The page "Operations": alerts, silences, processes, and the charts of the last day.
//!
//! `alerts.rs` shows and changes alerts and silences, `processes.rs` shows the processes, `charts.rs`
//! draws what the monitor measured, `latency.rs` the heat map, `firing.rs` shows critical alerts on
//! every page, `runbook.rs` what to do. The monitor (`crates/monitor`) measures and evaluates, in
//! whichever process it runs; the console only shows, acknowledges and silences.

mod alerts;
mod charts;
mod firing;
mod latency;
mod processes;
mod runbook;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use adpipe_event::Millis;
use adpipe_ingest::http::{Client, Refusal};
use adpipe_monitor::MonitorError;
use adpipe_monitor::rules::{Language, Rules};
use adpipe_sql::section;
use adpipe_warehouse::{Warehouse, query_table};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Router};
use minijinja::context;
use serde::Serialize;

use crate::answer::{self, time};
use crate::app::App;
use crate::csrf;
use crate::page;

const SQL: &str = include_str!("../../sql/operations.sql");
const NEWEST_READING: &str = section(SQL, "newest_reading");

/// A monitor measures every 15 s; one that has not measured for this long does not run.
const SILENT_MS: i64 = 60_000;

/// What the handlers of this folder share.
pub(crate) struct Desk {
    firing: firing::Cache,
    latencies: Arc<latency::Latencies>,
}

impl Desk {
    pub fn new() -> Desk {
        Desk { firing: firing::Cache::default(), latencies: Arc::default() }
    }
}

/// The routes of operations.
pub(crate) fn routes(app: &Arc<App>) -> Router<Arc<App>> {
    let acts = Router::new()
        .route("/api/operations/alerts/{id}/acknowledge", post(alerts::post_acknowledge))
        .route("/api/operations/silences", post(alerts::post_silence))
        .route("/api/operations/silences/{id}/end", post(alerts::post_end_silence))
        .route_layer(from_fn_with_state(Arc::clone(app), csrf::demand));
    Router::new()
        .route("/operations", get(get_page))
        .route("/runbook", get(runbook::get_runbook))
        .route("/api/operations", get(get_operations))
        .route("/api/operations/charts", get(charts::get_charts))
        .route("/api/operations/firing", get(firing::get_firing))
        .merge(acts)
}

/// The answer of `GET /api/operations`. Times are ms since the Unix epoch.
#[derive(Serialize)]
struct Operations {
    /// When it was read.
    at: i64,
    monitor: Monitor,
    #[serde(flatten)]
    alerts: alerts::Alerts,
    processes: Vec<processes::Process>,
}

/// The process that measures and evaluates.
#[derive(Serialize)]
struct Monitor {
    is_at_work: bool,
    newest_reading: Option<i64>,
}

/// `GET /operations`.
async fn get_page(
    State(app): State<Arc<App>>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let more = context! { page => "operations", ranges => charts::Range::ALL.map(charts::Range::name) };
    page::show(&app, "operations.html", &query, &headers, more).await
}

/// `GET /api/operations?lang=en`.
async fn get_operations(
    State(app): State<Arc<App>>,
    Extension(client): Extension<Client>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Result<Response, Refusal> {
    let language = language(&query);
    answering(&app, client, move |warehouse, rules| {
        let now = Millis::now();
        Ok(Operations {
            at: now.0,
            monitor: monitor(warehouse, now)?,
            alerts: alerts::alerts(warehouse, rules, language, now)?,
            processes: processes::processes(warehouse, now)?,
        })
    })
    .await
}

fn monitor(warehouse: &dyn Warehouse, now: Millis) -> Result<Monitor, MonitorError> {
    let newest = time(&query_table(warehouse, NEWEST_READING, &[])?.one()?, "newest")?;
    let is_at_work = match newest {
        Some(newest) => now.0 - newest < SILENT_MS,
        // One that has just begun has measured nothing yet.
        None => adpipe_schedule::lease::holder(warehouse, adpipe_schedule::lease::MONITOR)?.is_some(),
    };
    Ok(Monitor { is_at_work, newest_reading: newest })
}

/// How long a page waits for what fires; it asks for it itself, too.
const FIRING_PATIENCE: Duration = Duration::from_millis(250);

/// What fires, for the banner of a page that is about to be sent: it is there from the first moment,
/// and does not move what someone starts to read.
pub(crate) async fn firing_now(app: &App, tag: &str) -> firing::Firing {
    let language = if tag == "ko" { Language::Korean } else { Language::English };
    let found = tokio::time::timeout(FIRING_PATIENCE, firing::newest(app, language)).await;
    found.ok().and_then(Result::ok).unwrap_or_default()
}

/// The language that sentences about alerts are asked for in.
fn language(query: &BTreeMap<String, String>) -> Language {
    match query.get("lang").map(String::as_str) {
        Some("ko") => Language::Korean,
        _ => Language::English,
    }
}

/// Runs `work`, which may wait for the database, away from the sockets.
async fn working<T: Send + 'static>(
    app: &App,
    work: impl FnOnce(&dyn Warehouse, &Rules) -> Result<T, MonitorError> + Send + 'static,
) -> Result<T, Refusal> {
    let (warehouse, rules) = (Arc::clone(&app.services.warehouse), Arc::clone(&app.services.rules));
    app.work.run(move || work(warehouse.as_ref(), &rules)).await?.map_err(refusal)
}

/// The same, and answers with what comes of it.
async fn answering<T: Serialize>(
    app: &App,
    client: Client,
    work: impl FnOnce(&dyn Warehouse, &Rules) -> Result<T, MonitorError> + Send + 'static,
) -> Result<Response, Refusal> {
    let (warehouse, rules) = (Arc::clone(&app.services.warehouse), Arc::clone(&app.services.rules));
    answer::made(app, client, move || work(warehouse.as_ref(), &rules).map_err(refusal)).await
}

fn refusal(error: MonitorError) -> Refusal {
    match error {
        MonitorError::Refused(message) => Refusal::wrong(StatusCode::CONFLICT, message),
        error => Refusal::unavailable(error.to_string()),
    }
}
