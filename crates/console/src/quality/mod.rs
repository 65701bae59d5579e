//! The page "Data quality": what the tests of the transformations found, and how fresh the
//! sources are.
//!
//! `results.rs` reads the results that `adpipe transform` keeps in `ops`, `freshness.rs` judges the
//! sources. Nothing here changes anything.

mod freshness;
mod results;

use std::sync::Arc;
use std::time::{Duration, Instant};

use adpipe_event::Millis;
use adpipe_ingest::http::Refusal;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Bytes;
use minijinja::context;
use serde::Serialize;
use tokio::sync::Mutex;

use crate::answer::{Asking, WarehouseReader};
use crate::config::{DocsPage, ProjectTests};
use crate::headers::POLICY_OF_A_WHOLE_PAGE;
use crate::outbox::counted;
use crate::page::Pages;
use crate::query::Parameters;
use crate::work::Work;

/// The page about models is given again for this many times as long as it took to make …
const DOCS_REST: u32 = 10;
/// … and for this long at least.
const DOCS_FRESH: Duration = Duration::from_secs(1);

/// Makes the page about models, and keeps the newest one for a while.
#[derive(Clone)]
pub(crate) struct DocsPages {
    make: DocsPage,
    work: Work,
    /// The page, and until when it is good enough. Whoever asks meanwhile waits here and then shares it.
    newest: Arc<Mutex<Option<(Instant, Bytes)>>>,
}

impl DocsPages {
    pub fn new(make: DocsPage, work: Work) -> DocsPages {
        DocsPages { make, work, newest: Arc::default() }
    }

    /// Made anew every other second, because it shows the newest results.
    async fn newest(&self) -> Result<Bytes, Refusal> {
        let mut newest = self.newest.lock().await;
        if let Some((_, page)) = newest.as_ref().filter(|(until, _)| Instant::now() < *until) {
            return Ok(page.clone());
        }
        let (make, started) = (Arc::clone(&self.make), Instant::now());
        let made = self.work.run(move || make()).await?;
        let page = Bytes::from(made.map_err(Refusal::unavailable)?);
        let until = Instant::now() + (started.elapsed() * DOCS_REST).max(DOCS_FRESH);
        *newest = Some((until, page.clone()));
        Ok(page)
    }
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
pub(crate) async fn get_page(
    State(pages): State<Pages>,
    Query(query): Query<Parameters>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    pages.show("quality.html", &query, &headers, context! { page => "quality" }).await
}

/// `GET /quality/docs`.
pub(crate) async fn get_docs(State(docs): State<DocsPages>) -> Result<Response, Refusal> {
    let page = docs.newest().await?;
    let headers = [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
    let policy = [(header::CONTENT_SECURITY_POLICY, POLICY_OF_A_WHOLE_PAGE)];
    Ok(counted((headers, policy, page).into_response()))
}

/// `GET /api/quality`.
pub(crate) async fn get_quality(
    State(reader): State<WarehouseReader>,
    State(project_tests): State<ProjectTests>,
    asking: Asking,
) -> Result<Response, Refusal> {
    reader
        .json(asking, move |warehouse| {
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
pub(crate) async fn get_failures(
    State(reader): State<WarehouseReader>,
    asking: Asking,
    Query(query): Query<Parameters>,
) -> Result<Response, Refusal> {
    let Some(test) = query.get("test").cloned() else {
        return Err(Refusal::wrong(StatusCode::UNPROCESSABLE_ENTITY, "name a test: ?test=ID"));
    };
    reader.json(asking, move |warehouse| results::failures(warehouse, &test)).await
}
