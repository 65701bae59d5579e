//! What pages and programs send: filters in the address, JSON in the body, a name in a header.

use std::io::BufReader;
use std::sync::Arc;
use std::time::Duration;

use adpipe_dlq::actions::checked_actor;
use adpipe_dlq::{Filter, Status};
use adpipe_ingest::http::{Client, ReceiveLimits, ReceivedBody, Refusal, Reservation};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;

use super::refusal;
use crate::app::App;

/// Sent by the pages' scripts: the person who acts, percent-encoded.
const ACTOR_HEADER: &str = "x-actor";

/// Longest body of an action; an edited payload is shorter than a record may be.
const LIMITS: ReceiveLimits =
    ReceiveLimits { max_bytes: 4 << 20, pause: Duration::from_secs(10), deadline: Duration::from_secs(20) };

/// Errors that one request may name.
const MOST_IDS: usize = 1_000;

/// Stands in the address for "no field is to blame".
const NO_FIELD: &str = "-";

/// The parts of an address after its question mark, in their order.
pub(super) type Pairs = Vec<(String, String)>;

/// The filter in an address. Lists are repeated or, but for fields, separated by commas; what is empty
/// says nothing. The names in `others` belong to other parameters; any other name is refused, so that a
/// mistyped filter does not mean "everything".
pub(super) fn filter(pairs: &Pairs, others: &[&str]) -> Result<Filter, Refusal> {
    let mut filter = Filter::default();
    for (name, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
        let parts = || value.split(',').map(str::trim).filter(|part| !part.is_empty());
        match name.as_str() {
            "status" => {
                for part in parts() {
                    filter.status.push(part.parse::<Status>().map_err(unprocessable)?);
                }
            }
            "error_type" => filter.error_type.extend(parts().map(str::to_owned)),
            "group" => filter.group.extend(parts().map(str::to_owned)),
            "field" if value == NO_FIELD => filter.field.push(String::new()),
            "field" => filter.field.push(value.clone()),
            "topic" => filter.topic = Some(value.clone()),
            "since" => filter.since = Some(as_sql_time(value)),
            "until" => filter.until = Some(as_sql_time(value)),
            "text" => filter.text = Some(value.clone()),
            other if others.contains(&other) => {}
            other => return Err(unprocessable(format!("there is no filter {other:?}"))),
        }
    }
    filter.check().map_err(refusal)?;
    Ok(filter)
}

/// What a browser's field for times gives (`2026-01-31T23:59`), as the warehouse writes it.
fn as_sql_time(value: &str) -> String {
    let time = value.trim().trim_end_matches('Z').replacen('T', " ", 1);
    match time.len() {
        10 => format!("{time} 00:00:00"),
        16 => format!("{time}:00"),
        _ => time,
    }
}

/// The last value of that name.
pub(super) fn last<'p>(pairs: &'p Pairs, name: &str) -> Option<&'p str> {
    let found = pairs.iter().rev().find(|(known, value)| known == name && !value.is_empty());
    found.map(|(_, value)| value.as_str())
}

/// The JSON in a body, and its part of the memory for bodies.
pub(crate) struct Posted<T> {
    pub value: T,
    /// Held for as long as the value is worked with.
    pub held: Option<Reservation>,
}

impl<T: DeserializeOwned> FromRequest<Arc<App>> for Posted<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Posted<T>, Refusal> {
        let client = Client::of_request(&request);
        let (head, body) = request.into_parts();
        let (bodies, closing) = (&app.bodies, app.closing.subscribe());
        let body = ReceivedBody::receive(client, &head.headers, body, &LIMITS, bodies, closing).await?;
        let value = serde_json::from_reader(BufReader::new(body.reader()))
            .map_err(|error| unprocessable(format!("the body is not valid: {error}")))?;
        Ok(Posted { value, held: body.into_reservation() })
    }
}

/// Ids of errors, as many as one request may name.
pub(super) fn checked_ids(ids: &[String]) -> Result<(), Refusal> {
    match ids.len() {
        0 => Err(unprocessable("no error is named".to_owned())),
        1..=MOST_IDS => Ok(()),
        _ => Err(unprocessable(format!("more than {MOST_IDS} errors; start a bulk action instead"))),
    }
}

/// The person who acts: `console:NAME`, or `console` if the page does not know a name.
pub(crate) fn actor(headers: &HeaderMap) -> Result<String, Refusal> {
    let Some(given) = headers.get(ACTOR_HEADER) else { return Ok("console".to_owned()) };
    let name = percent_decoded(given.as_bytes())
        .ok_or_else(|| unprocessable(format!("{ACTOR_HEADER} is not percent-encoded UTF-8")))?;
    match name.trim() {
        "" => Ok("console".to_owned()),
        name => checked_actor(&format!("console:{name}")).map_err(refusal),
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

pub(crate) fn unprocessable(message: String) -> Refusal {
    Refusal::wrong(StatusCode::UNPROCESSABLE_ENTITY, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(query: &[(&str, &str)]) -> Pairs {
        query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn filters_are_read_from_the_address() {
        let query = [
            ("status", "pending,exhausted"),
            ("error_type", "parse"),
            ("error_type", "schema"),
            ("field", "a,b"),
            ("field", "-"),
            ("since", "2026-01-31T23:59"),
            ("until", "2026-02-01"),
            ("text", ""),
            ("lang", "ko"),
        ];
        let read = filter(&pairs(&query), &["lang"]).unwrap();
        assert_eq!(read.status, [Status::Pending, Status::Exhausted]);
        assert_eq!(read.error_type, ["parse", "schema"]);
        assert_eq!(read.field, ["a,b", ""]);
        assert_eq!(read.since.as_deref(), Some("2026-01-31 23:59:00"));
        assert_eq!(read.until.as_deref(), Some("2026-02-01 00:00:00"));
        assert_eq!(read.text, None);
        for wrong in [("status", "open"), ("since", "yesterday"), ("error_type", "odd"), ("stat", "pending")]
        {
            assert!(filter(&pairs(&[wrong]), &[]).is_err(), "{wrong:?}");
        }
    }

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
