//! A request that is not served, and what its sender should do.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// Answered as `{"error": message}`.
#[derive(Debug)]
pub struct Refusal {
    /// What the request is answered with.
    pub status: StatusCode,
    /// What is wrong, and what its sender should do.
    pub message: String,
    /// Seconds after which the same request may be served.
    pub retry_after_s: Option<u64>,
}

impl Refusal {
    /// The request itself is wrong; sending it again will not help.
    pub fn wrong(status: StatusCode, message: impl Into<String>) -> Refusal {
        Refusal { status, message: message.into(), retry_after_s: None }
    }

    /// Too much at once.
    pub fn busy(message: impl Into<String>) -> Refusal {
        Refusal { status: StatusCode::TOO_MANY_REQUESTS, message: message.into(), retry_after_s: Some(1) }
    }

    /// Something that this request needs is not there now.
    pub fn unavailable(message: impl Into<String>) -> Refusal {
        Refusal { status: StatusCode::SERVICE_UNAVAILABLE, message: message.into(), retry_after_s: Some(5) }
    }

    /// Others are being served; the same request may be served shortly.
    pub fn crowded(message: impl Into<String>) -> Refusal {
        Refusal { retry_after_s: Some(1), ..Refusal::unavailable(message) }
    }

    /// A task of ours was lost: a fault to be looked into.
    pub fn internal(error: &dyn std::fmt::Display) -> Refusal {
        tracing::error!(%error, "a request failed by a fault of adpipe");
        Refusal::wrong(StatusCode::INTERNAL_SERVER_ERROR, "internal error; the log of adpipe says more")
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = Json(serde_json::json!({ "error": self.message }));
        let mut response = (self.status, body).into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
