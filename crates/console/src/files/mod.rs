//! The page "Files": what `adpipe etl` read, file by file, and what the archive holds.
//!
//! `list.rs` reads the reports, `archive.rs` the archive's list. Nothing here changes anything.

mod archive;
mod list;

use std::collections::BTreeMap;
use std::sync::Arc;

use adpipe_event::Millis;
use adpipe_ingest::http::{Client, Refusal};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use minijinja::context;
use serde::Serialize;

use crate::answer;
use crate::app::App;
use crate::page;

/// States of a file, as stored; those that need attention first.
const STATES: [&str; 4] = ["damaged", "reading", "done", "replaced"];

/// Longest text that is searched for.
const LONGEST_TEXT: usize = 200;

/// The routes of the files.
pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/files", get(get_page))
        .route("/api/files", get(get_files))
        .route("/api/files/report", get(get_report))
        .route("/api/archive", get(get_archive))
}

/// The answer of `GET /api/files`.
#[derive(Serialize)]
struct Files {
    /// When it was read, ms since the Unix epoch.
    at: i64,
    #[serde(flatten)]
    list: list::List,
}

/// `GET /files`: the filter is read by the script, from the address.
async fn get_page(
    State(app): State<Arc<App>>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    page::show(&app, "files.html", &query, &headers, context! { page => "files", states => STATES }).await
}

/// `GET /api/files?state=STATE&text=TEXT&page=1`.
async fn get_files(
    State(app): State<Arc<App>>,
    Extension(client): Extension<Client>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Result<Response, Refusal> {
    let value = |name: &str| query.get(name).map(|value| value.trim().to_owned()).unwrap_or_default();
    let (state, text, page) = (value("state"), value("text"), value("page"));
    if !state.is_empty() && !STATES.contains(&state.as_str()) {
        return Err(unprocessable(format!("state must be one of {}", STATES.join(", "))));
    }
    if text.len() > LONGEST_TEXT {
        return Err(unprocessable(format!("text may have at most {LONGEST_TEXT} bytes")));
    }
    let page: u32 = match page.as_str() {
        "" => 1,
        number => number
            .parse()
            .ok()
            .filter(|number| *number > 0)
            .ok_or_else(|| unprocessable("page must be a whole number of at least 1".to_owned()))?,
    };
    answer::read(&app, client, move |warehouse| {
        Ok(Files { at: Millis::now().0, list: list::list(warehouse, &state, &text, page)? })
    })
    .await
}

/// `GET /api/files/report?path=PATH&content=HASH&reading=1`: what a file's errors are.
async fn get_report(
    State(app): State<Arc<App>>,
    Extension(client): Extension<Client>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Result<Response, Refusal> {
    let value =
        |name: &str| query.get(name).cloned().ok_or_else(|| unprocessable(format!("{name} is missing")));
    let (path, content) = (value("path")?, value("content")?);
    let reading: i64 =
        value("reading")?.parse().map_err(|_| unprocessable("reading must be a whole number".to_owned()))?;
    answer::read(&app, client, move |warehouse| list::report(warehouse, &path, &content, reading)).await
}

/// `GET /api/archive`.
async fn get_archive(
    State(app): State<Arc<App>>,
    Extension(client): Extension<Client>,
) -> Result<Response, Refusal> {
    answer::read(&app, client, archive::archive).await
}

fn unprocessable(message: String) -> Refusal {
    Refusal::wrong(StatusCode::UNPROCESSABLE_ENTITY, message)
}
