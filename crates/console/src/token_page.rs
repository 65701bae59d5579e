//! The page with a form for the token: what a browser without one gets instead of any page, and
//! where it goes from there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use adpipe_ingest::http::{Client, Refusal};
use axum::Extension;
use axum::body::{Body, to_bytes};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Redirect, Response};
use minijinja::context;

use crate::access::{TOKEN_COOKIE, check_tokens};
use crate::app::App;

/// Where the form for a token is sent to.
pub(crate) const ADDRESS: &str = "/token";

/// A form holds a token and an address, and comes in one piece.
const MAX_FORM_BYTES: usize = 8 << 10;
const FORM_PATIENCE: Duration = Duration::from_secs(10);

/// The page with the form for a token. `problem` is the key of what was wrong with the last one.
pub(crate) fn show(
    app: &App,
    status: StatusCode,
    headers: &HeaderMap,
    wanted: &str,
    problem: Option<&str>,
) -> Response {
    let query = wanted.split_once('?').map_or("", |(_, query)| query);
    let query = parse_pairs(query).unwrap_or_default();
    let more = context! { page => "token", wanted, problem };
    let mut response = match app.pages.show("token.html", &query, headers, more) {
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
    State(app): State<Arc<App>>,
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
    let Some(token) = app.config.token.as_deref() else { return Redirect::to(wanted).into_response() };
    let given = form.get("token").map(|given| given.trim());
    match check_tokens(&app, client, given, token) {
        Ok(true) => keep(token, wanted),
        Ok(false) => show(&app, StatusCode::UNAUTHORIZED, &headers, wanted, Some("token_wrong")),
        Err(refusal) => {
            let mut response = show(&app, refusal.status, &headers, wanted, Some("token_wait"));
            let seconds = HeaderValue::from(refusal.retry_after_s.unwrap_or(1));
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
            response
        }
    }
}

/// What a form or the end of an address says.
pub(crate) fn parse_pairs(text: &str) -> Option<BTreeMap<String, String>> {
    let address = Uri::try_from(format!("/?{text}")).ok()?;
    Query::try_from_uri(&address).ok().map(|Query(pairs)| pairs)
}

/// Moves the token from the address or the form, where others may read it, into a cookie.
pub(crate) fn keep(token: &str, wanted: &str) -> Response {
    let cookie = format!("{TOKEN_COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age=2592000");
    let Ok(cookie) = HeaderValue::from_str(&cookie) else {
        return Refusal::internal(&"the token does not fit a cookie").into_response();
    };
    ([(header::SET_COOKIE, cookie)], Redirect::to(wanted)).into_response()
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
