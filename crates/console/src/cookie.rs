//! Reads cookies.

use axum::http::{HeaderMap, header};

/// The value of the first cookie of that name.
pub(crate) fn value<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(';'))
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| key.trim() == name)
        .map(|(_, value)| value.trim())
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
        assert_eq!(value(&headers, "token"), Some("a=b"));
        assert_eq!(value(&headers, "c"), None);
    }
}
