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

use crate::token::same;

/// Sent by a page's scripts with the token of its `<meta name="csrf-token">`.
const HEADER: &str = "x-csrf-token";

/// What a page's buttons have to show.
#[derive(Clone)]
pub(crate) struct CsrfToken(Arc<str>);

impl CsrfToken {
    /// A new one, unguessable: 128 random bits.
    pub fn new() -> CsrfToken {
        CsrfToken(format!("{:032x}", rand::random::<u128>()).into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Lets a request act only when it shows the token.
pub(crate) async fn demand(State(token): State<CsrfToken>, request: Request, next: Next) -> Response {
    let given = request.headers().get(HEADER).and_then(|value| value.to_str().ok());
    match given {
        Some(given) if same(given, token.as_str()) => next.run(request).await,
        _ => Refusal::wrong(StatusCode::FORBIDDEN, "the page is out of date; load it again").into_response(),
    }
}
