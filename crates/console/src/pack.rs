//! Makes answers small: a client that already has an answer gets 304, and one that accepts gzip gets
//! gzip.
//!
//! Pages ask again every few seconds. An answer's ETag is that of what it says, without the time at
//! which it was read (`{"at":…`, its first field): that time alone is not a change. It goes into the
//! header `x-at`, so that a page can still say how old its figures are.

use std::io::Write;

use adpipe_ingest::http::Refusal;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::body::{Body as _, Bytes};

use crate::assets::fnv_1a;
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
    let (mut parts, body) = response.into_parts();
    let plain = match to_bytes(body, usize::MAX).await {
        Ok(bytes) => bytes,
        Err(error) => return Refusal::internal(&error).into_response(),
    };
    let is_long = plain.len() > LONG;
    let work = move || look(&plain, known.as_ref(), takes_gzip);
    let looked = if is_long {
        match tokio::task::spawn_blocking(work).await {
            Ok(looked) => looked,
            Err(error) => return Refusal::internal(&error).into_response(),
        }
    } else {
        work()
    };
    let (etag, at, answer) = match looked {
        Ok(looked) => looked,
        Err(error) => return Refusal::internal(&error).into_response(),
    };
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::ETAG, etag);
    parts.headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Some(at) = at {
        parts.headers.insert(AT, at);
    }
    match answer {
        Answer::Known => {
            parts.status = StatusCode::NOT_MODIFIED;
            parts.headers.remove(header::CONTENT_TYPE);
            Response::from_parts(parts, Body::empty())
        }
        Answer::Plain(bytes) => {
            let response = Response::from_parts(parts, Body::from(bytes));
            if is_counted { outbox::counted(response) } else { response }
        }
        Answer::Packed(bytes) => {
            parts.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            // Other bytes than those that may have been counted.
            outbox::uncounted(Response::from_parts(parts, Body::from(bytes)))
        }
    }
}

enum Answer {
    /// Anyone who asks has it.
    Known,
    Plain(Bytes),
    Packed(Bytes),
}

type Looked = (HeaderValue, Option<HeaderValue>, Answer);

fn look(plain: &Bytes, known: Option<&HeaderValue>, takes_gzip: bool) -> Result<Looked, String> {
    let (at, rest) = without_time(plain);
    // Weak: the packed bytes are others than the plain ones.
    let etag =
        HeaderValue::from_str(&format!("W/\"{:016x}\"", fnv_1a(rest))).map_err(|error| error.to_string())?;
    let at = at.and_then(|digits| HeaderValue::from_bytes(digits).ok());
    let answer = if known == Some(&etag) {
        Answer::Known
    } else if takes_gzip {
        Answer::Packed(gzip(plain, Compression::fast()).map_err(|error| error.to_string())?)
    } else {
        Answer::Plain(plain.clone())
    };
    Ok((etag, at, answer))
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

/// Compresses.
pub(crate) fn gzip(plain: &[u8], level: Compression) -> std::io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 4), level);
    encoder.write_all(plain)?;
    encoder.finish().map(Bytes::from)
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
        let look = |text: &'static str, known: Option<&HeaderValue>| {
            look(&Bytes::from_static(text.as_bytes()), known, false).unwrap()
        };
        let (first, at, _) = look(r#"{"at":17,"open":3}"#, None);
        assert_eq!(at.unwrap(), "17");
        let (same, at, answer) = look(r#"{"at":18,"open":3}"#, Some(&first));
        assert!(same == first && at.unwrap() == "18" && matches!(answer, Answer::Known));
        let (other, _, answer) = look(r#"{"at":18,"open":4}"#, Some(&first));
        assert!(other != first && matches!(answer, Answer::Plain(_)));
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
