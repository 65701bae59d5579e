//! The page "Files": what `adpipe etl` read, file by file, and what the archive holds.
//!
//! `list.rs` reads the reports, `archive.rs` the archive's list. Nothing here changes anything.

mod archive;
mod list;

use adpipe_event::Millis;
use adpipe_ingest::http::Refusal;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use minijinja::context;
use serde::Serialize;

use self::list::STATES;
use crate::answer::{Asking, WarehouseReader, unprocessable};
use crate::page::Pages;
use crate::query::Parameters;

/// Longest text that is searched for.
const LONGEST_TEXT: usize = 200;

/// The answer of `GET /api/files`.
#[derive(Serialize)]
struct Files {
    /// When it was read, ms since the Unix epoch.
    at: i64,
    #[serde(flatten)]
    list: list::List,
}

/// `GET /files`: the filter is read by the script, from the address.
pub(crate) async fn get_page(
    State(pages): State<Pages>,
    Query(query): Query<Parameters>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    pages.show("files.html", &query, &headers, context! { page => "files", states => STATES }).await
}

/// `GET /api/files?state=STATE&text=TEXT&page=1`.
pub(crate) async fn get_files(
    State(reader): State<WarehouseReader>,
    asking: Asking,
    Query(query): Query<Parameters>,
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
    reader
        .json(asking, move |warehouse| {
            Ok(Files { at: Millis::now().0, list: list::list(warehouse, &state, &text, page)? })
        })
        .await
}

/// `GET /api/files/report?path=PATH&content=HASH&reading=1`: what a file's errors are.
pub(crate) async fn get_report(
    State(reader): State<WarehouseReader>,
    asking: Asking,
    Query(query): Query<Parameters>,
) -> Result<Response, Refusal> {
    let value =
        |name: &str| query.get(name).cloned().ok_or_else(|| unprocessable(format!("{name} is missing")));
    let (path, content) = (value("path")?, value("content")?);
    let reading: i64 =
        value("reading")?.parse().map_err(|_| unprocessable("reading must be a whole number".to_owned()))?;
    reader.json(asking, move |warehouse| list::report(warehouse, &path, &content, reading)).await
}

/// `GET /api/archive`.
pub(crate) async fn get_archive(
    State(reader): State<WarehouseReader>,
    asking: Asking,
) -> Result<Response, Refusal> {
    reader.json(asking, archive::archive).await
}
