//! Answers on their way out: their memory is bounded, however slowly they are taken.
//!
//! An answer's bytes are reserved before they are handed to the connection, and given back when the
//! last of them has left. What all clients share (scripts, a snapshot of the figures) is [`shared`] and
//! counts once, for its owner.

use adpipe_ingest::http::{Budget, Client, Refusal, Reservation};
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper::body::{Body as _, Bytes};

/// Memory of all answers that wait to be taken.
const BUDGET_BYTES: usize = 32 << 20;

/// Answers up to this size may use the last of the budget.
const SMALL_BYTES: usize = 64 << 10;

/// Answers this small are not counted: they fit into what a connection costs anyway.
const TINY_BYTES: u64 = 2 << 10;

/// Marks an answer whose bytes are counted already.
#[derive(Clone, Copy)]
struct Counted;

#[derive(Clone)]
pub(crate) struct Outbox(Budget);

/// Bytes and their reservation, given up together.
struct Held {
    bytes: Bytes,
    _reservation: Reservation,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Outbox {
    pub fn new() -> Outbox {
        Outbox(Budget::new(BUDGET_BYTES))
    }

    /// The same bytes, counted.
    ///
    /// # Errors
    /// 503 when too many answers wait to be taken.
    pub fn hold(&self, client: Client, bytes: Bytes) -> Result<Bytes, Refusal> {
        let is_small = bytes.len() <= SMALL_BYTES;
        let reserved = if is_small {
            self.0.reserve(client, bytes.len())
        } else {
            self.0.reserve_for_large(client, bytes.len())
        };
        match reserved {
            Some(reservation) => Ok(Bytes::from_owner(Held { bytes, _reservation: reservation })),
            None if self.0.is_beyond(bytes.len()) => {
                let message =
                    format!("the answer would have {} bytes, too many for one; ask for less", bytes.len());
                Err(Refusal::wrong(StatusCode::INTERNAL_SERVER_ERROR, message))
            }
            None => Err(Refusal::crowded("too many answers wait to be taken; try again shortly")),
        }
    }
}

/// Marks an answer whose bytes are counted, or shared by all recipients.
pub(crate) fn counted(mut response: Response) -> Response {
    response.extensions_mut().insert(Counted);
    response
}

/// Whether an answer is marked so.
pub(crate) fn is_counted(response: &Response) -> bool {
    response.extensions().get::<Counted>().is_some()
}

/// Takes the mark away from an answer that has got other bytes.
pub(crate) fn uncounted(mut response: Response) -> Response {
    response.extensions_mut().remove::<Counted>();
    response
}

/// Counts answers that are not counted yet, and answers 503 if there is no room.
pub(crate) async fn count(State(outbox): State<Outbox>, request: Request, next: Next) -> Response {
    let client = Client::of_request(&request);
    let response = next.run(request).await;
    // An answer whose length is not known is a stream, with a bound of its own.
    let length = response.body().size_hint().exact().unwrap_or(0);
    if length <= TINY_BYTES || is_counted(&response) {
        return response;
    }
    let (parts, body) = response.into_parts();
    let held = match to_bytes(body, usize::MAX).await {
        Ok(bytes) => outbox.hold(client, bytes),
        Err(error) => Err(Refusal::internal(&error)),
    };
    match held {
        Ok(bytes) => Response::from_parts(parts, Body::from(bytes)),
        Err(refusal) => refusal.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_counted_until_the_last_of_them_is_gone() {
        let outbox = Outbox::new();
        let client = Client::of(std::net::IpAddr::from([127, 0, 0, 1]));
        let mut held: Vec<Bytes> = Vec::new();
        while let Ok(bytes) = outbox.hold(client, Bytes::from(vec![0; 1 << 20])) {
            held.push(bytes);
        }
        assert_eq!(held.len(), 26, "13/16 of 32 MiB");
        assert!(outbox.hold(client, Bytes::from_static(b"small")).is_ok());
        let rest = held[0].slice(1_000..);
        held.clear();
        assert!(outbox.hold(client, Bytes::from(vec![0; 26 << 20])).is_err());
        drop(rest);
        assert!(outbox.hold(client, Bytes::from(vec![0; 26 << 20])).is_ok());
        let refusal = outbox.hold(client, Bytes::from(vec![0; 40 << 20])).err();
        assert_eq!(refusal.map(|refusal| refusal.status), Some(StatusCode::INTERNAL_SERVER_ERROR));
    }
}
