//! The page "Data quality": what the tests of the transformations found, and how fresh the
//! sources are.
//!
//! `results.rs` reads the results that `adpipe transform` keeps in `ops`, `freshness.rs` judges the
//! sources. Nothing here changes anything.

mod freshness;
mod results;

use std::collections::BTreeMap;
use std::sync::Arc;

use adpipe_event::Millis;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use minijinja::context;
use serde::Serialize;
use tokio::sync::Mutex;

use crate::answer;
use crate::app::App;
use crate::refusal::Refusal;

/// What the handlers of this folder share.
pub(crate) struct Desk {
    /// Reading the project takes a while: one after the other.
    docs: Mutex<()>,
}

impl Desk {
    pub fn new() -> Desk {
        Desk { docs: Mutex::new(()) }
    }
}

/// The routes of the data's quality.
pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/quality", get(get_page))
        .route("/quality/docs", get(get_docs))
        .route("/api/quality", get(get_quality))
        .route("/api/quality/failures", get(get_failures))
}

/// The answer of `GET /api/quality`.
#[derive(Serialize)]
struct Quality {
    /// When it was measured, ms since the Unix epoch.
    at: i64,
    tests: Vec<results::Test>,
    freshness: Vec<freshness::Source>,
}

/// `GET /quality`.
async fn get_page(
    State(app): State<Arc<App>>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    app.pages.show("quality.html", &query, &headers, context! { page => "quality" })
}

/// `GET /quality/docs`: made anew each time, because it shows the newest results.
async fn get_docs(State(app): State<Arc<App>>) -> Result<Response, Refusal> {
    let _turn = app.quality.docs.lock().await;
    let docs_page = Arc::clone(&app.services.docs_page);
    let made = tokio::task::spawn_blocking(move || docs_page()).await;
    let page = made.map_err(|error| Refusal::internal(&error))?.map_err(Refusal::unavailable)?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Html(page)).into_response())
}

/// `GET /api/quality`.
async fn get_quality(State(app): State<Arc<App>>) -> Result<Response, Refusal> {
    answer::read(&app, |warehouse| {
        let now = Millis::now();
        Ok(Quality {
            at: now.0,
            tests: results::all(warehouse)?,
            freshness: freshness::sources(warehouse, now)?,
        })
    })
    .await
}

/// `GET /api/quality/failures?test=…`.
async fn get_failures(
    State(app): State<Arc<App>>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Result<Response, Refusal> {
    let Some(test) = query.get("test").cloned() else {
        return Err(Refusal::wrong(StatusCode::UNPROCESSABLE_ENTITY, "name a test: ?test=ID"));
    };
    answer::read(&app, move |warehouse| results::failures(warehouse, &test)).await
}
