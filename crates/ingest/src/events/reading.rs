//! How a body is to be read, and what to say of one that cannot be.

use adpipe_event::{Encoding, FieldMap, Format};
use axum::http::StatusCode;

use super::judge::ContentLimits;
use crate::http::Refusal;

/// How a body is to be read.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    /// None: by its first bytes.
    pub format: Option<Format>,
    pub encoding: Encoding,
    pub limits: ContentLimits,
    pub fields: FieldMap,
    pub max_decompressed_bytes: u64,
}

/// A body that holds no events as it is.
pub(super) fn foreign(reason: &str) -> Refusal {
    Refusal::wrong(StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("the body {reason}"))
}

/// A body that is not what it should be.
pub(super) fn bad(message: impl Into<String>) -> Refusal {
    Refusal::wrong(StatusCode::BAD_REQUEST, message)
}
