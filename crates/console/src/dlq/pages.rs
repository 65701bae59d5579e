//! The three pages. What they show is fetched by their scripts.

use adpipe_dlq::{Status, report};
use adpipe_event::ErrorType;
use adpipe_ingest::http::Refusal;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use minijinja::context;

use super::queue::Queue;
use crate::page::Pages;
use crate::query::Parameters;

/// Ranges of the backlog chart.
const RANGES: [&str; 3] = ["6h", "24h", "7d"];

/// `GET /dlq`.
pub(crate) async fn get_groups_page(
    State(pages): State<Pages>,
    Query(query): Query<Parameters>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let more = context! { page => "dlq", ranges => RANGES };
    pages.show("dlq.html", &query, &headers, more).await
}

/// `GET /dlq/errors`: the filter is read by the script, from the address.
pub(crate) async fn get_list_page(
    State(pages): State<Pages>,
    Query(query): Query<Parameters>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let more = context! {
        page => "dlq",
        statuses => Status::ALL.map(Status::as_str),
        error_types => ErrorType::ALL.map(ErrorType::as_str),
    };
    pages.show("dlq_errors.html", &query, &headers, more).await
}

/// `GET /dlq/errors/{id}`.
pub(crate) async fn get_error_page(
    State(pages): State<Pages>,
    State(queue): State<Queue>,
    Path(id): Path<String>,
    Query(query): Query<Parameters>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let known = id.clone();
    match queue.run(move |dlq| report::story(dlq, &known).map(drop)).await {
        Err(refusal) if refusal.status == StatusCode::NOT_FOUND => {
            return Ok(pages.message(StatusCode::NOT_FOUND, &headers, "dlq_gone"));
        }
        // The page itself shows what is wrong, and continues by itself once that has passed.
        _ => {}
    }
    let more = context! { page => "dlq", error_id => id };
    pages.show("dlq_error.html", &query, &headers, more).await
}
