//! The page "Data quality": what the tests of the transformations found, and how fresh the
//! sources are.
//!
//! `results.rs` reads the results that `adpipe transform` keeps in `ops`, `freshness.rs` judges the
//! sources. Nothing here changes anything.

mod freshness;
mod results;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adpipe_event::Millis;
use adpipe_ingest::http::{Client, Refusal};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use hyper::body::Bytes;
use minijinja::context;
use serde::Serialize;
use tokio::sync::Mutex;

use crate::access::POLICY_OF_A_WHOLE_PAGE;
use crate::answer;
use crate::app::App;
use crate::outbox::counted;
use crate::page;

/// The page about models is given again for this many times as long as it took to make …
const DOCS_REST: u32 = 10;
/// … and for this long at least.
const DOCS_FRESH: Duration = Duration::from_secs(1);

/// What the handlers of this folder share.
pub(crate) struct Desk {
    /// The newest page about models, and until when it is good enough. Requests in the meantime wait
    /// here and then share it.
    docs: Mutex<Option<(Instant, Bytes)>>,
}

impl Desk {
    pub fn new() -> Desk {
        Desk { docs: Mutex::new(None) }
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
    page::show(&app, "quality.html", &query, &headers, context! { page => "quality" }).await
}

/// `GET /quality/docs`: made again every other second, because it shows the newest results.
async fn get_docs(State(app): State<Arc<App>>) -> Result<Response, Refusal> {
    let mut newest = app.quality.docs.lock().await;
    let fresh = newest.as_ref().filter(|(until, _)| Instant::now() < *until);
    let page = match fresh {
        Some((_, page)) => page.clone(),
        None => {
            let (docs_page, started) = (Arc::clone(&app.services.docs_page), Instant::now());
            let made = app.work.run(move || docs_page()).await?;
            let page = Bytes::from(made.map_err(Refusal::unavailable)?);
            let until = Instant::now() + (started.elapsed() * DOCS_REST).max(DOCS_FRESH);
            *newest = Some((until, page.clone()));
            page
        }
    };
    let headers = [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
    let policy = [(header::CONTENT_SECURITY_POLICY, POLICY_OF_A_WHOLE_PAGE)];
    Ok(counted((headers, policy, page).into_response()))
}

/// `GET /api/quality`.
async fn get_quality(
    State(app): State<Arc<App>>,
    Extension(client): Extension<Client>,
) -> Result<Response, Refusal> {
    let project_tests = Arc::clone(&app.services.project_tests);
    answer::read(&app, client, move |warehouse| {
        let now = Millis::now();
        Ok(Quality {
            at: now.0,
            tests: results::all(warehouse, project_tests().as_ref())?,
            freshness: freshness::sources(warehouse, now)?,
        })
    })
    .await
}

/// `GET /api/quality/failures?test=…`.
async fn get_failures(
    State(app): State<Arc<App>>,
    Extension(client): Extension<Client>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Result<Response, Refusal> {
    let Some(test) = query.get("test").cloned() else {
        return Err(Refusal::wrong(StatusCode::UNPROCESSABLE_ENTITY, "name a test: ?test=ID"));
    };
    answer::read(&app, client, move |warehouse| results::failures(warehouse, &test)).await
}
