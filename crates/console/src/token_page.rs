//! The page with a form for the token: what a browser without one gets instead of any page, and
//! where it goes from there.

use std::time::Duration;

use adpipe_ingest::http::{Client, Refusal};
use axum::Extension;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum_extra::extract::CookieJar;
use minijinja::context;

use crate::cookie;
use crate::page::Pages;
use crate::query::parse_pairs;
use crate::token::{TOKEN_COOKIE, TokenCheck};

/// Where the form for a token is sent to.
pub(crate) const ADDRESS: &str = "/token";

/// A form holds a token and an address, and comes in one piece.
const MAX_FORM_BYTES: usize = 8 << 10;
const FORM_PATIENCE: Duration = Duration::from_secs(10);

/// How long a browser keeps the token.
const KEPT_DAYS: i64 = 30;

/// The page with the form for a token. `problem` is the key of what was wrong with the last one.
pub(crate) fn show(
    pages: &Pages,
    status: StatusCode,
    headers: &HeaderMap,
    wanted: &str,
    problem: Option<&str>,
) -> Response {
    let query = wanted.split_once('?').map_or("", |(_, query)| query);
    let query = parse_pairs(query).unwrap_or_default();
    let more = context! { page => "token", wanted, problem };
    let mut response = match pages.show_bare("token.html", &query, headers, more) {
        Ok(response) => response,
        Err(refusal) => return refusal.into_response(),
    };
    *response.status_mut() = status;
    response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

/// The address to go to once the token is known: one of ours, else the first page. An address that
/// begins with two slashes, or one and a backslash, is another host's.
pub(crate) fn own_address(wanted: &str) -> &str {
    let is_own = wanted.starts_with('/') && !wanted.starts_with("//") && !wanted.contains('\\');
    let is_text = wanted.bytes().all(|byte| byte.is_ascii_graphic());
    let is_page = !wanted.starts_with(ADDRESS);
    if is_own && is_text && is_page { wanted } else { "/" }
}

/// `GET /token`: someone who already has access.
pub(crate) async fn get_token() -> Redirect {
    Redirect::to("/")
}

/// `POST /token`, a form with `token` and `next`: keeps the token in a cookie and leads back to the
/// page that was wanted.
pub(crate) async fn post_token(
    State(tokens): State<TokenCheck>,
    State(pages): State<Pages>,
    Extension(client): Extension<Client>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let received = tokio::time::timeout(FORM_PATIENCE, to_bytes(body, MAX_FORM_BYTES)).await;
    let form = received.ok().and_then(Result::ok).and_then(|bytes| String::from_utf8(bytes.into()).ok());
    let Some(form) = form.and_then(|form| parse_pairs(&form)) else {
        return Refusal::wrong(StatusCode::BAD_REQUEST, "this is not the form of the token").into_response();
    };
    let wanted = own_address(form.get("next").map_or("/", String::as_str));
    let Some(token) = tokens.token() else { return Redirect::to(wanted).into_response() };
    let given = form.get("token").map(|given| given.trim());
    match tokens.accepts(client, given) {
        Ok(true) => keep(token, wanted),
        Ok(false) => show(&pages, StatusCode::UNAUTHORIZED, &headers, wanted, Some("token_wrong")),
        Err(refusal) => {
            let mut response = show(&pages, refusal.status, &headers, wanted, Some("token_wait"));
            let seconds = HeaderValue::from(refusal.retry_after_s.unwrap_or(1));
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
            response
        }
    }
}

/// Moves the token from the address or the form, where others may read it, into a cookie.
pub(crate) fn keep(token: &str, wanted: &str) -> Response {
    let mut cookie = cookie::kept(TOKEN_COOKIE, token.to_owned(), KEPT_DAYS);
    // No script needs to read it.
    cookie.set_http_only(true);
    (CookieJar::new().add(cookie), Redirect::to(wanted)).into_response()
}

#[cfg(test)]
mod tests {
    use super::own_address;

    #[test]
    fn nobody_is_sent_to_another_host() {
        for own in ["/", "/dlq?group=f00d&after=x", "/quality?test=a%20b"] {
            assert_eq!(own_address(own), own);
        }
        for other in
            ["//evil.example", "/\\evil.example", "https://evil.example", "", "/a\nb", "/token?lang=ko"]
        {
            assert_eq!(own_address(other), "/", "{other:?}");
        }
    }
}
