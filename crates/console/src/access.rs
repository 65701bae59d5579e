//! Access: the right host, the right origin, the right token. And the headers of every answer.

use std::hint::black_box;
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::time::Instant;

use adpipe_ingest::http::{Client, Refusal};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::assets;
use crate::cookie;
use crate::page::wants_page;
use crate::throttle::Verdict;
use crate::token_page;

pub(crate) const TOKEN_COOKIE: &str = "adpipe_token";

/// Open to everyone, for checks that the process is alive.
const WITHOUT_TOKEN: &str = "/healthz";

/// Scripts and styles come from us alone and never stand in a page.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Of a page that can also be kept as a file: it contains its style and has no script.
pub(crate) const POLICY_OF_A_WHOLE_PAGE: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// Adds to every answer what keeps a browser from doing more than it should.
pub(crate) async fn add_security_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    // The page that asks for a token says otherwise: without an origin its form would be refused.
    headers.entry(header::REFERRER_POLICY).or_insert(HeaderValue::from_static("no-referrer"));
    let policy = HeaderValue::from_static(CONTENT_SECURITY_POLICY);
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(policy);
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Lets a request in or answers it.
pub(crate) async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if let Err(refusal) = check_names(&app, &request) {
        return refusal.into_response();
    }
    let Some(token) = app.config.token.as_deref() else { return next.run(request).await };
    if is_open_to_all(&request) {
        return next.run(request).await;
    }
    let client = Client::of_request(&request);
    match check_tokens(&app, client, shown_tokens(request.headers()), token) {
        Ok(true) => return next.run(request).await,
        Ok(false) => {}
        Err(refusal) => return refusal.into_response(),
    }
    if request.uri().path() == "/" {
        match check_tokens(&app, client, query_token(request.uri()).as_deref(), token) {
            Ok(true) => return token_page::keep(token, "/"),
            Ok(false) => {}
            Err(refusal) => return refusal.into_response(),
        }
    }
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let mut response = if reads && wants_page(request.headers()) {
        let wanted = request.uri().path_and_query().map_or("/", |address| address.as_str());
        token_page::show(
            &app,
            StatusCode::UNAUTHORIZED,
            request.headers(),
            token_page::own_address(wanted),
            None,
        )
    } else {
        Refusal::wrong(StatusCode::UNAUTHORIZED, "a token is required: send authorization: bearer …")
            .into_response()
    };
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

/// What needs no token: the sign of life, scripts and styles, and the form that takes a token.
fn is_open_to_all(request: &Request) -> bool {
    let path = request.uri().path();
    path == WITHOUT_TOKEN
        || path.starts_with(assets::FOLDER)
        || (path == token_page::ADDRESS && *request.method() == Method::POST)
}

/// Whether one of the tokens that were shown is the right one.
///
/// # Errors
/// 429 when too many wrong ones came from this address.
pub(crate) fn check_tokens<'t>(
    app: &App,
    client: Client,
    shown: impl IntoIterator<Item = &'t str>,
    token: &str,
) -> Result<bool, Refusal> {
    let now = Instant::now();
    for given in shown {
        match app.throttle.judge(client, given, now) {
            Verdict::Compare if same(given, token) => {
                app.throttle.forget(client);
                return Ok(true);
            }
            Verdict::Compare => app.throttle.note_failure(client, given, now),
            Verdict::KnownWrong => {}
            Verdict::Wait(wait) => {
                let message = "too many wrong tokens from this address; wait before you try another one";
                let retry_after_s = Some(wait.as_secs() + 1);
                return Err(Refusal { retry_after_s, ..Refusal::busy(message) });
            }
        }
    }
    Ok(false)
}

/// A foreign page, open in a browser on this machine, can send requests here. It cannot hide the name
/// it was reached by (DNS rebinding) nor, when it writes, its origin.
fn check_names(app: &App, request: &Request) -> Result<(), Refusal> {
    let host = host(request)?;
    let name = host_name(host)
        .ok_or_else(|| Refusal::wrong(StatusCode::BAD_REQUEST, "the header host is not a name and a port"))?;
    if app.on_loopback && !is_own_name(name, &app.config.host) {
        let message = "this host name does not belong to the console; use localhost or set console.host";
        return Err(Refusal::wrong(StatusCode::MISDIRECTED_REQUEST, message));
    }
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if !reads && let Some(origin) = request.headers().get(header::ORIGIN) {
        let origin_host =
            origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
        if origin_host != Some(host) {
            return Err(Refusal::wrong(StatusCode::FORBIDDEN, "pages of other sites may not write here"));
        }
    }
    Ok(())
}

/// The one name by which a request reached us.
///
/// # Errors
/// 400 for none, or several that may differ: a proxy in front of us could use another one.
fn host(request: &Request) -> Result<&str, Refusal> {
    let refusal = |message| Refusal::wrong(StatusCode::BAD_REQUEST, message);
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(refusal("a request needs exactly one header host"));
    };
    let host = host.to_str().map_err(|_| refusal("the header host is not text"))?;
    // A proxy's form of an address; it goes before the header (RFC 9112, 3.2.2), so both must agree.
    match request.uri().authority() {
        Some(authority) if !authority.as_str().eq_ignore_ascii_case(host) => {
            Err(refusal("the address names another host than the header host"))
        }
        _ => Ok(host),
    }
}

fn is_own_name(name: &str, configured: &str) -> bool {
    let configured = configured.trim_matches(['[', ']']);
    ["localhost", "127.0.0.1", "::1", configured].iter().any(|own| own.eq_ignore_ascii_case(name))
}

/// The name without port and brackets; none when it is not a name or address with or without a
/// port, so that nothing can hide behind one of ours.
fn host_name(host: &str) -> Option<&str> {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let (name, port) = rest.split_once(']')?;
            name.parse::<Ipv6Addr>().ok()?;
            (name, if port.is_empty() { port } else { port.strip_prefix(':')? })
        }
        None => host.split_once(':').unwrap_or((host, "")),
    };
    let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
    let is_sound = name.bytes().all(is_name_byte) && port.bytes().all(|byte| byte.is_ascii_digit());
    is_sound.then_some(name)
}

/// The tokens in the headers of a request.
fn shown_tokens(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = authorization
        .and_then(|value| value.split_once(' '))
        .and_then(|(scheme, given)| scheme.eq_ignore_ascii_case("bearer").then_some(given.trim()));
    [bearer, cookie::value(headers, TOKEN_COOKIE)].into_iter().flatten()
}

/// Compares in a time that depends on the lengths only.
pub(crate) fn same(given: &str, token: &str) -> bool {
    let difference =
        given.bytes().zip(token.bytes()).fold(0, |seen, (left, right)| black_box(seen | (left ^ right)));
    given.len() == token.len() && difference == 0
}

fn query_token(uri: &Uri) -> Option<String> {
    token_page::parse_pairs(uri.query()?)?.remove("token")
}

/// True when a token can be sent in a header and in a cookie as it is.
pub(crate) fn is_usable_token(token: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    !token.is_empty() && token.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_lose_their_port() {
        for (host, name) in [
            ("localhost:8088", "localhost"),
            ("127.0.0.1", "127.0.0.1"),
            ("[::1]:80", "::1"),
            ("[::1]", "::1"),
            ("evil.example:8088", "evil.example"),
            ("", ""),
        ] {
            assert_eq!(host_name(host), Some(name));
        }
        for wrong in [
            "[::1]evil.example",
            "[::1]:80@evil.example",
            "[localhost]",
            "[::1",
            "::1",
            "localhost:evil.example",
            "localhost:80:80",
            "user@localhost",
            "localhost/",
            "local host",
        ] {
            assert_eq!(host_name(wrong), None, "{wrong}");
        }
        assert!(is_own_name("LocalHost", "127.0.0.1") && is_own_name("my.box", "my.box"));
        assert!(!is_own_name("evil.example", "127.0.0.1"));
    }

    #[test]
    fn tokens_are_the_same_or_not() {
        assert!(same("secret", "secret"));
        assert!(!same("secre", "secret") && !same("secret1", "secret") && !same("Secret", "secret"));
        assert!(is_usable_token("aZ09-._~+/=") && !is_usable_token("") && !is_usable_token("a b;"));
    }
}
