//! Proof that a button was pressed on a page of ours, in this process' life.
//!
//! The origin is checked already (`access.rs`); a browser that sends none, or a proxy that rewrites
//! it, is caught here. Programs use the command line, or fetch a page and show its token.

use std::sync::Arc;

use adpipe_ingest::http::Refusal;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::access::same;
use crate::app::App;

/// Sent by a page's scripts with the token of its `<meta name="csrf-token">`.
const HEADER: &str = "x-csrf-token";

/// A new token, unguessable: 128 random bits.
pub(crate) fn new_token() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// Lets a request act only when it shows the token.
pub(crate) async fn demand(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let given = request.headers().get(HEADER).and_then(|value| value.to_str().ok());
    match given {
        Some(given) if same(given, &app.csrf_token) => next.run(request).await,
        _ => Refusal::wrong(StatusCode::FORBIDDEN, "the page is out of date; load it again").into_response(),
    }
}
