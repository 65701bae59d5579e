//! Makes answers small: a client that already has an answer gets 304, and one that accepts gzip gets
//! gzip.
//!
//! Pages ask again every few seconds. An answer's ETag is that of what it says, without the time at
//! which it was read (`{"at":…`, its first field): that time alone is not a change. It goes into the
//! header `x-at`, so that a page can still say how old its figures are.
//!
//! `tower_http::compression` cannot do this: it packs on the threads that serve sockets, and its
//! answers have no length by which [`outbox`] could count them.

use std::io::Write;

use adpipe_ingest::http::Refusal;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::response::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::body::{Body as _, Bytes};

use crate::outbox;

/// Shorter answers gain nothing.
const SHORTEST: u64 = 256;

/// Longer ones are packed away from the threads that serve sockets.
const LONG: usize = 16 << 10;

/// When an answer was read, ms since the Unix epoch.
const AT: HeaderName = HeaderName::from_static("x-at");

/// Answers "not modified" or packs what the handler made.
pub(crate) async fn pack(request: Request, next: Next) -> Response {
    if request.method() != Method::GET {
        return next.run(request).await;
    }
    let takes_gzip = accepts_gzip(request.headers());
    let known = request.headers().get(header::IF_NONE_MATCH).cloned();
    let response = next.run(request).await;
    if !is_packable(&response) {
        return response;
    }
    let is_counted = outbox::is_counted(&response);
    let (parts, body) = response.into_parts();
    match packed(body, known, takes_gzip).await {
        Ok(packed) => packed.into_response(parts, is_counted),
        Err(refusal) => refusal.into_response(),
    }
}

async fn packed(body: Body, known: Option<HeaderValue>, takes_gzip: bool) -> Result<Packed, Refusal> {
    let plain = to_bytes(body, usize::MAX).await.map_err(|error| Refusal::internal(&error))?;
    let is_long = plain.len() > LONG;
    let work = move || Packed::new(&plain, known.as_ref(), takes_gzip);
    let packed = if is_long {
        tokio::task::spawn_blocking(work).await.map_err(|error| Refusal::internal(&error))?
    } else {
        work()
    };
    packed.map_err(|error| Refusal::internal(&error))
}

/// What is sent of an answer.
enum Content {
    /// Anyone who asks has it.
    Known,
    Plain(Bytes),
    Gzip(Bytes),
}

struct Packed {
    etag: HeaderValue,
    /// When it was read.
    at: Option<HeaderValue>,
    content: Content,
}

impl Packed {
    fn new(plain: &Bytes, known: Option<&HeaderValue>, takes_gzip: bool) -> Result<Packed, String> {
        let (at, rest) = without_time(plain);
        // Weak: the packed bytes are others than the plain ones.
        let etag = HeaderValue::from_str(&format!("W/\"{:016x}\"", fnv_1a(rest)))
            .map_err(|error| error.to_string())?;
        let at = at.and_then(|digits| HeaderValue::from_bytes(digits).ok());
        let content = if known == Some(&etag) {
            Content::Known
        } else if takes_gzip {
            Content::Gzip(gzip(plain, Compression::fast()).map_err(|error| error.to_string())?)
        } else {
            Content::Plain(plain.clone())
        };
        Ok(Packed { etag, at, content })
    }

    /// `is_counted`: whether the plain bytes are counted already.
    fn into_response(self, mut parts: Parts, is_counted: bool) -> Response {
        parts.headers.remove(header::CONTENT_LENGTH);
        parts.headers.insert(header::ETAG, self.etag);
        parts.headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        if let Some(at) = self.at {
            parts.headers.insert(AT, at);
        }
        match self.content {
            Content::Known => {
                parts.status = StatusCode::NOT_MODIFIED;
                parts.headers.remove(header::CONTENT_TYPE);
                Response::from_parts(parts, Body::empty())
            }
            Content::Plain(bytes) => {
                let response = Response::from_parts(parts, Body::from(bytes));
                if is_counted { outbox::counted(response) } else { response }
            }
            Content::Gzip(bytes) => {
                parts.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                // Other bytes than those that may have been counted.
                outbox::uncounted(Response::from_parts(parts, Body::from(bytes)))
            }
        }
    }
}

/// The digits of a leading `{"at":…`, and what comes after them.
fn without_time(json: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let Some(rest) = json.strip_prefix(b"{\"at\":") else { return (None, json) };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (at, rest) = rest.split_at(digits);
    (Some(at).filter(|at| !at.is_empty()), rest)
}

/// A complete text answer that is not packed yet.
fn is_packable(response: &Response) -> bool {
    let headers = response.headers();
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let is_text = ["text/html", "text/plain", "application/json"].iter().any(|of| media_type.starts_with(of));
    let is_own = headers.contains_key(header::ETAG)
        || headers.contains_key(header::CONTENT_ENCODING)
        || headers.contains_key(header::CONTENT_DISPOSITION);
    let length = response.body().size_hint().exact();
    response.status() == StatusCode::OK
        && is_text
        && !is_own
        && length.is_some_and(|length| length >= SHORTEST)
}

pub(crate) fn gzip(plain: &[u8], level: Compression) -> std::io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 4), level);
    encoder.write_all(plain)?;
    encoder.finish().map(Bytes::from)
}

/// FNV-1a: to tell versions of our own answers apart, nothing more.
pub(crate) fn fnv_1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Whether a client reads gzip: named, and not with a weight of 0.
pub(crate) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|names| names.split(',')).any(|item| {
        let (name, weight) = item.split_once(';').unwrap_or((item, ""));
        let weight = weight.trim().strip_prefix("q=").map_or(Ok(1.0), str::parse::<f32>);
        name.trim().eq_ignore_ascii_case("gzip") && weight.is_ok_and(|weight| weight > 0.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_reading_is_no_news() {
        let pack = |text: &'static str, known: Option<&HeaderValue>| {
            Packed::new(&Bytes::from_static(text.as_bytes()), known, false).unwrap()
        };
        let first = pack(r#"{"at":17,"open":3}"#, None);
        assert_eq!(first.at.unwrap(), "17");
        let same = pack(r#"{"at":18,"open":3}"#, Some(&first.etag));
        assert!(
            same.etag == first.etag && same.at.unwrap() == "18" && matches!(same.content, Content::Known)
        );
        let other = pack(r#"{"at":18,"open":4}"#, Some(&first.etag));
        assert!(other.etag != first.etag && matches!(other.content, Content::Plain(_)));
        assert_eq!(without_time(b"<html>"), (None, &b"<html>"[..]));
    }

    #[test]
    fn gzip_is_taken_when_named() {
        let headers = |value: &'static str| {
            HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(value))])
        };
        for (value, takes) in [
            ("gzip, br", true),
            ("br;q=1, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("br", false),
            ("", false),
        ] {
            assert_eq!(accepts_gzip(&headers(value)), takes, "{value}");
        }
    }
}
