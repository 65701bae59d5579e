//! What pages and programs send: JSON in the body, a name in a header.

use std::io::BufReader;
use std::time::Duration;

use adpipe_dlq::actions::checked_actor;
use adpipe_ingest::http::{Budget, Client, ReceiveLimits, ReceivedBody, Refusal, Reservation};
use axum::extract::{FromRef, FromRequest, Request};
use axum::http::HeaderMap;
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use crate::answer::unprocessable;

/// Sent by the pages' scripts: the person who acts, percent-encoded.
const ACTOR_HEADER: &str = "x-actor";

/// Longest body of an action; an edited payload is shorter than a record may be.
const LIMITS: ReceiveLimits =
    ReceiveLimits { max_bytes: 4 << 20, pause: Duration::from_secs(10), deadline: Duration::from_secs(20) };

/// Where bodies arrive.
#[derive(Clone)]
pub(crate) struct BodyIntake {
    /// Memory of the bodies of every route.
    pub bodies: Budget,
    /// Turns true when the console ends.
    pub closing: watch::Receiver<bool>,
}

/// The JSON in a body, and its part of the memory for bodies.
pub(crate) struct Posted<T> {
    pub value: T,
    /// Held for as long as the value is worked with.
    pub held: Option<Reservation>,
}

impl<T, S> FromRequest<S> for Posted<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
    BodyIntake: FromRef<S>,
{
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Posted<T>, Refusal> {
        let BodyIntake { bodies, closing } = BodyIntake::from_ref(state);
        let client = Client::of_request(&request);
        let (head, body) = request.into_parts();
        let body = ReceivedBody::receive(client, &head.headers, body, &LIMITS, &bodies, closing).await?;
        let value = serde_json::from_reader(BufReader::new(body.reader()))
            .map_err(|error| unprocessable(format!("the body is not valid: {error}")))?;
        Ok(Posted { value, held: body.into_reservation() })
    }
}

/// The person who acts: `console:NAME`, or `console` if the page does not know a name.
pub(crate) fn actor(headers: &HeaderMap) -> Result<String, Refusal> {
    let Some(given) = headers.get(ACTOR_HEADER) else { return Ok("console".to_owned()) };
    let name = percent_decoded(given.as_bytes())
        .ok_or_else(|| unprocessable(format!("{ACTOR_HEADER} is not percent-encoded UTF-8")))?;
    match name.trim() {
        "" => Ok("console".to_owned()),
        name => checked_actor(&format!("console:{name}")).map_err(|error| unprocessable(error.to_string())),
    }
}

fn percent_decoded(encoded: &[u8]) -> Option<String> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let Some((first, others)) = rest.split_first() {
        rest = others;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_decoded_and_checked() {
        let actor_of = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACTOR_HEADER, value.parse().unwrap());
            actor(&headers)
        };
        assert_eq!(actor(&HeaderMap::new()).unwrap(), "console");
        assert_eq!(actor_of("kim").unwrap(), "console:kim");
        assert_eq!(actor_of("%EA%B9%80").unwrap(), "console:김");
        assert_eq!(actor_of("%20").unwrap(), "console");
        for wrong in ["%", "%4", "%zz", "%ff", "a%0Ab", &"x".repeat(600)] {
            assert!(actor_of(wrong).is_err(), "{wrong}");
        }
    }
}
