//! Reads cookies, and makes those that browsers keep for us.

use axum::http::HeaderMap;
use axum_extra::extract::CookieJar;
use axum_extra::extract::cookie::{Cookie, SameSite};

/// The value of the cookie of that name.
pub(crate) fn value(headers: &HeaderMap, name: &str) -> Option<String> {
    CookieJar::from_headers(headers).get(name).map(|cookie| cookie.value().to_owned())
}

/// A cookie that every page of ours gets for so many days, and no page of others.
pub(crate) fn kept(name: &'static str, value: String, days: i64) -> Cookie<'static> {
    let cookie = Cookie::build((name, value)).path("/").same_site(SameSite::Strict);
    cookie.max_age(time::Duration::days(days)).build()
}

#[cfg(test)]
mod tests {
    use super::value;
    use axum::http::{HeaderMap, HeaderValue, header};

    #[test]
    fn cookies_are_found_by_their_whole_name() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("a=1; xtoken=no"));
        headers.append(header::COOKIE, HeaderValue::from_static("token=a=b; c"));
        assert_eq!(value(&headers, "token").as_deref(), Some("a=b"));
        assert_eq!(value(&headers, "c"), None);
    }
}
