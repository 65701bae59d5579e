//! The three pages. What they show is fetched by their scripts.

use std::collections::BTreeMap;
use std::sync::Arc;

use adpipe_dlq::Status;
use adpipe_dlq::report;
use adpipe_event::ErrorType;
use adpipe_ingest::http::Refusal;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use minijinja::context;

use super::blocking;
use super::input::Pairs;
use crate::app::App;
use crate::page;

/// Ranges of the backlog chart.
const RANGES: [&str; 3] = ["6h", "24h", "7d"];

fn by_name(query: Pairs) -> BTreeMap<String, String> {
    query.into_iter().collect()
}

/// `GET /dlq`.
pub(super) async fn get_groups_page(
    State(app): State<Arc<App>>,
    Query(query): Query<Pairs>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let more = context! { page => "dlq", ranges => RANGES };
    page::show(&app, "dlq.html", &by_name(query), &headers, more).await
}

/// `GET /dlq/errors`: the filter is read by the script, from the address.
pub(super) async fn get_list_page(
    State(app): State<Arc<App>>,
    Query(query): Query<Pairs>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let more = context! {
        page => "dlq",
        statuses => Status::ALL.map(Status::as_str),
        error_types => ErrorType::ALL.map(ErrorType::as_str),
    };
    page::show(&app, "dlq_errors.html", &by_name(query), &headers, more).await
}

/// `GET /dlq/errors/{id}`.
pub(super) async fn get_error_page(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(query): Query<Pairs>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let known = id.clone();
    match blocking(&app, move |dlq| report::story(dlq, &known).map(drop)).await {
        Err(refusal) if refusal.status == StatusCode::NOT_FOUND => {
            return Ok(app.pages.message(StatusCode::NOT_FOUND, &headers, "dlq_gone"));
        }
        // The page itself shows what is wrong, and continues by itself once that has passed.
        _ => {}
    }
    let more = context! { page => "dlq", error_id => id };
    page::show(&app, "dlq_error.html", &by_name(query), &headers, more).await
}
