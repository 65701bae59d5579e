//! Who may come in: the right host, the right origin, the right token.

use std::net::Ipv6Addr;
use std::sync::Arc;

use adpipe_ingest::http::{Client, Refusal};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::assets;
use crate::page::{Pages, wants_page};
use crate::token::{self, TokenCheck};
use crate::token_page;

/// Open to everyone, for checks that the process is alive.
const WITHOUT_TOKEN: &str = "/healthz";

/// What a request is judged by.
pub(crate) struct Access {
    /// `console.host`.
    host: Arc<str>,
    /// True when only this machine can reach the console.
    on_loopback: bool,
    tokens: TokenCheck,
    pages: Pages,
}

impl Access {
    pub fn new(host: &str, on_loopback: bool, tokens: TokenCheck, pages: Pages) -> Access {
        Access { host: host.into(), on_loopback, tokens, pages }
    }
}

/// Lets a request in or answers it.
pub(crate) async fn guard(State(access): State<Arc<Access>>, request: Request, next: Next) -> Response {
    match entry(&access, &request) {
        Ok(Entry::Allowed) => next.run(request).await,
        Ok(Entry::TokenInAddress(token)) => token_page::keep(token, "/"),
        Ok(Entry::TokenNeeded) => token_needed(&access, &request),
        Err(refusal) => refusal.into_response(),
    }
}

enum Entry<'t> {
    Allowed,
    /// The right one: it goes into a cookie.
    TokenInAddress(&'t str),
    TokenNeeded,
}

/// Whether a request may come in.
///
/// # Errors
/// The refusal of a wrong host or origin, or of too many wrong tokens.
fn entry<'a>(access: &'a Access, request: &Request) -> Result<Entry<'a>, Refusal> {
    check_names(access, request)?;
    let Some(token) = access.tokens.token() else { return Ok(Entry::Allowed) };
    if is_open_to_all(request) {
        return Ok(Entry::Allowed);
    }
    let client = Client::of_request(request);
    let is_accepted = |shown: &[String]| access.tokens.accepts(client, shown.iter().map(String::as_str));
    if is_accepted(&token::in_headers(request.headers()))? {
        return Ok(Entry::Allowed);
    }
    let in_address = (request.uri().path() == "/").then(|| token::in_query(request.uri())).flatten();
    if is_accepted(in_address.as_slice())? {
        Ok(Entry::TokenInAddress(token))
    } else {
        Ok(Entry::TokenNeeded)
    }
}

/// The page that asks for a token, or for programs that one is needed.
fn token_needed(access: &Access, request: &Request) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let mut response = if reads && wants_page(request.headers()) {
        let wanted = request.uri().path_and_query().map_or("/", |address| address.as_str());
        let wanted = token_page::own_address(wanted);
        token_page::show(&access.pages, StatusCode::UNAUTHORIZED, request.headers(), wanted, None)
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

/// A foreign page, open in a browser on this machine, can send requests here. It cannot hide the name
/// it was reached by (DNS rebinding) nor, when it writes, its origin.
fn check_names(access: &Access, request: &Request) -> Result<(), Refusal> {
    let host = host(request)?;
    let name = host_name(host)
        .ok_or_else(|| Refusal::wrong(StatusCode::BAD_REQUEST, "the header host is not a name and a port"))?;
    if access.on_loopback && !is_own_name(name, &access.host) {
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
}
