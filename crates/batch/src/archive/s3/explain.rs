//! An object store's errors in words: what, where, what to do.

use std::error::Error;

use object_store::client::{HttpError, HttpErrorKind};

use super::S3Place;
use crate::archive::store::StoreError;

/// Longest answer of a server that is shown as it is.
const SHOWN_CHARACTERS: usize = 300;

/// What Versity's gateway says of an access key that it does not know, as "not found".
const UNKNOWN_KEY: &str = "XAdminUserNotFound";

pub(super) fn explain(place: &S3Place, path: &str, error: &object_store::Error) -> StoreError {
    let location = match path {
        "" => place.url(),
        path => format!("{}/{path}", place.url()),
    };
    let whole = chain(error);
    let code = between(&whole, "<Code>", "</Code>").unwrap_or_default();
    let server = place.endpoint.as_deref().unwrap_or("Amazon S3");
    let reason = match error {
        _ if code == "NoSuchBucket" => format!(
            "there is no bucket {bucket} on {server}; create it (`aws s3 mb s3://{bucket}`) or correct archive.url",
            bucket = place.bucket
        ),
        object_store::Error::NotFound { .. } if code != UNKNOWN_KEY => {
            return StoreError::Missing(path.to_owned());
        }
        _ if is_denied(error, &whole) => {
            format!(
                "{server} refused the request ({}): {}",
                if code.is_empty() { "403" } else { code },
                advice(code)
            )
        }
        _ if code == "PermanentRedirect" || code == "AuthorizationHeaderMalformed" || is_redirect(&whole) => {
            format!("the bucket is in another region; set archive.region or AWS_REGION ({code})")
        }
        _ => match transport(error) {
            Some(
                HttpErrorKind::Connect
                | HttpErrorKind::Request
                | HttpErrorKind::Timeout
                | HttpErrorKind::Interrupted,
            ) => format!(
                "{server} cannot be reached ({}); check that it runs, archive.endpoint, and the network",
                innermost(error)
            ),
            _ if whole.contains("169.254.169.254") || whole.contains("metadata") => format!(
                "there are no keys; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give this machine a role ({})",
                innermost(error)
            ),
            _ => shortened(&whole),
        },
    };
    StoreError::failed(location, reason)
}

fn advice(code: &str) -> &'static str {
    match code {
        "InvalidAccessKeyId" | UNKNOWN_KEY => "it does not know the access key; check AWS_ACCESS_KEY_ID",
        "SignatureDoesNotMatch" => {
            "the secret key does not match the access key; check AWS_SECRET_ACCESS_KEY and archive.region"
        }
        "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired" => {
            "the session token has expired; get new keys"
        }
        "RequestTimeTooSkewed" => "this machine's clock is wrong; set it",
        _ => {
            "the keys may not do this; they must be allowed to list the bucket, and to get, put and delete objects below the prefix"
        }
    }
}

/// A refusal; that of a listing comes without its kind.
fn is_denied(error: &object_store::Error, whole: &str) -> bool {
    use object_store::Error::{PermissionDenied, Unauthenticated};
    matches!(error, PermissionDenied { .. } | Unauthenticated { .. })
        || ["403 Forbidden", "401 Unauthorized", UNKNOWN_KEY].iter().any(|status| whole.contains(status))
}

fn is_redirect(text: &str) -> bool {
    text.contains("Received redirect without LOCATION")
}

/// The error and what it comes from.
fn sources<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let this = next?;
        next = this.source();
        Some(this)
    })
}

fn chain(error: &object_store::Error) -> String {
    let mut texts: Vec<String> = Vec::new();
    for source in sources(error) {
        let text = source.to_string();
        // Many of them repeat what they come from.
        if !texts.iter().any(|said| said.contains(&text)) {
            texts.push(text);
        }
    }
    texts.join(": ")
}

fn innermost(error: &object_store::Error) -> String {
    sources(error).last().map(ToString::to_string).unwrap_or_default()
}

fn transport(error: &object_store::Error) -> Option<HttpErrorKind> {
    sources(error).find_map(|source| source.downcast_ref::<HttpError>()).map(HttpError::kind)
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(start)?;
    rest.split_once(end).map(|(found, _)| found)
}

fn shortened(text: &str) -> String {
    // In one line.
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut short: String = text.chars().take(SHOWN_CHARACTERS).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
