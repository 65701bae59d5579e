//! The token that people and programs show to come in, and who may still guess at it.

use std::sync::Arc;
use std::time::Instant;

use adpipe_ingest::http::{Client, Refusal};
use axum::http::{HeaderMap, Uri, header};
use subtle::ConstantTimeEq;

use crate::cookie;
use crate::query::parse_pairs;
use crate::throttle::{Throttle, Verdict};

pub(crate) const TOKEN_COOKIE: &str = "adpipe_token";

/// The token that is asked for, if one is, and the wrong ones that were shown.
#[derive(Clone)]
pub(crate) struct TokenCheck {
    token: Option<Arc<str>>,
    throttle: Arc<Throttle>,
}

impl TokenCheck {
    pub fn new(token: Option<&str>) -> TokenCheck {
        TokenCheck { token: token.map(Arc::from), throttle: Arc::new(Throttle::new()) }
    }

    /// None when everybody may come in.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Whether one of the tokens that were shown is the right one.
    ///
    /// # Errors
    /// 429 when too many wrong ones came from this address.
    pub fn accepts<'t>(
        &self,
        client: Client,
        shown: impl IntoIterator<Item = &'t str>,
    ) -> Result<bool, Refusal> {
        let Some(token) = self.token() else { return Ok(true) };
        let now = Instant::now();
        for given in shown {
            match self.throttle.judge(client, given, now) {
                Verdict::Compare if same(given, token) => {
                    self.throttle.forget(client);
                    return Ok(true);
                }
                Verdict::Compare => self.throttle.note_failure(client, given, now),
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
}

pub(crate) fn in_headers(headers: &HeaderMap) -> Vec<String> {
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = authorization
        .and_then(|value| value.split_once(' '))
        .and_then(|(scheme, given)| scheme.eq_ignore_ascii_case("bearer").then(|| given.trim().to_owned()));
    [bearer, cookie::value(headers, TOKEN_COOKIE)].into_iter().flatten().collect()
}

pub(crate) fn in_query(uri: &Uri) -> Option<String> {
    parse_pairs(uri.query()?)?.remove("token")
}

/// Compares in a time that depends on the lengths only.
pub(crate) fn same(given: &str, secret: &str) -> bool {
    given.as_bytes().ct_eq(secret.as_bytes()).into()
}

/// True when a token can be sent in a header and in a cookie as it is.
pub(crate) fn is_usable(token: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    !token.is_empty() && token.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_the_same_or_not() {
        assert!(same("secret", "secret"));
        assert!(!same("secre", "secret") && !same("secret1", "secret") && !same("Secret", "secret"));
        assert!(is_usable("aZ09-._~+/=") && !is_usable("") && !is_usable("a b;"));
    }
}
