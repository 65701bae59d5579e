//! Receives the body of a request: bounded in bytes, in time and in memory shared by all.

use std::io::Read;
use std::pin::Pin;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use hyper::body::{Body as HttpBody, Bytes};
use tokio::sync::watch;
use tokio::time::Instant;

use super::budget::{Budget, Reservation};
use super::client::Client;
use super::refusal::Refusal;
use super::server::ended;

const FIRST_SEGMENT_BYTES: usize = 4 << 10;
const LARGEST_SEGMENT_BYTES: usize = 256 << 10;

/// Bodies up to this size may use the last of the budget.
const SMALL_BODY_BYTES: usize = 64 << 10;

/// A body still arriving when the server ends has this long to be complete.
const LAST_CALL: Duration = Duration::from_millis(400);

/// How much may arrive, and how slowly.
#[derive(Debug, Clone, Copy)]
pub struct ReceiveLimits {
    /// Longest body, as received.
    pub max_bytes: usize,
    /// It may pause for this long …
    pub pause: Duration,
    /// … and must be complete within this.
    pub deadline: Duration,
}

/// A whole body in segments: it grows without being copied and without doubling its memory.
#[derive(Debug, Default)]
pub struct ReceivedBody {
    segments: Vec<Vec<u8>>,
    bytes: usize,
    reserved: Option<Reservation>,
}

impl ReceivedBody {
    /// Takes all of a body.
    ///
    /// # Errors
    /// 408 when it does not come, 413 when it is too large, 429 when there is no memory for it,
    /// 503 when the server ends before the body does.
    pub async fn receive(
        client: Client,
        headers: &HeaderMap,
        body: Body,
        limits: &ReceiveLimits,
        budget: &Budget,
        mut closing: watch::Receiver<bool>,
    ) -> Result<ReceivedBody, Refusal> {
        let announced = announced_bytes(headers);
        if announced.is_some_and(|bytes| bytes > limits.max_bytes as u64) {
            return Err(too_large(limits.max_bytes));
        }
        let expected = announced.map(|bytes| bytes as usize);
        let deadline = Instant::now() + limits.deadline;
        let mut received = ReceivedBody::default();
        let mut body = Box::pin(body);
        loop {
            let patience = (Instant::now() + limits.pause).min(deadline);
            let chunk = tokio::select! {
                chunk = tokio::time::timeout_at(patience, next_chunk(body.as_mut())) => chunk,
                () = last_call(&mut closing) => return Err(Refusal::unavailable("adpipe is shutting down")),
            };
            match chunk {
                Err(_) => {
                    let message = "the body did not arrive in time";
                    return Err(Refusal::wrong(StatusCode::REQUEST_TIMEOUT, message));
                }
                Ok(Some(Err(error))) => {
                    let message = format!("the body ended early: {error}");
                    return Err(Refusal::wrong(StatusCode::BAD_REQUEST, message));
                }
                Ok(Some(Ok(chunk))) if received.bytes + chunk.len() > limits.max_bytes => {
                    return Err(too_large(limits.max_bytes));
                }
                Ok(Some(Ok(chunk))) => received.add(client, &chunk, expected, budget)?,
                Ok(None) => return Ok(received),
            }
        }
    }

    fn add(
        &mut self,
        client: Client,
        mut chunk: &[u8],
        expected: Option<usize>,
        budget: &Budget,
    ) -> Result<(), Refusal> {
        while !chunk.is_empty() {
            let room = self.segments.last().map_or(0, |segment| segment.capacity() - segment.len());
            if room == 0 {
                self.add_segment(client, chunk.len(), expected, budget)?;
                continue;
            }
            let (now, later) = chunk.split_at(room.min(chunk.len()));
            if let Some(segment) = self.segments.last_mut() {
                segment.extend_from_slice(now);
            }
            self.bytes += now.len();
            chunk = later;
        }
        Ok(())
    }

    fn add_segment(
        &mut self,
        client: Client,
        chunk_bytes: usize,
        expected: Option<usize>,
        budget: &Budget,
    ) -> Result<(), Refusal> {
        // A client that announces much and sends little must not hold much.
        let doubled = (self.bytes + chunk_bytes).clamp(FIRST_SEGMENT_BYTES, LARGEST_SEGMENT_BYTES);
        let missing = expected.map_or(doubled, |bytes| bytes.saturating_sub(self.bytes));
        let capacity = doubled.min(missing).max(1);
        let is_small = self.bytes + capacity <= SMALL_BODY_BYTES;
        let reserved = if is_small {
            budget.reserve(client, capacity)
        } else {
            budget.reserve_for_large(client, capacity)
        };
        let Some(reservation) = reserved else {
            return Err(Refusal::busy("too many bodies are arriving at once; try again shortly"));
        };
        match &mut self.reserved {
            Some(reserved) => reserved.add(reservation),
            None => self.reserved = Some(reservation),
        }
        self.segments.push(Vec::with_capacity(capacity));
        Ok(())
    }

    /// Bytes as received.
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// True when nothing was sent.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// The first bytes: enough to recognize the compression.
    pub fn start(&self) -> &[u8] {
        self.segments.first().map_or(&[], Vec::as_slice)
    }

    /// Gives up the bytes and keeps their place: for what was made of them.
    pub fn into_reservation(self) -> Option<Reservation> {
        self.reserved
    }

    /// Reads it from the beginning.
    pub fn reader(&self) -> SegmentReader<'_> {
        SegmentReader { segments: &self.segments, position: 0 }
    }
}

/// Reads segments one after the other.
#[derive(Debug)]
pub struct SegmentReader<'a> {
    segments: &'a [Vec<u8>],
    position: usize,
}

impl Read for SegmentReader<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        while let Some(segment) = self.segments.first() {
            let rest = &segment[self.position..];
            if !rest.is_empty() {
                let count = rest.len().min(into.len());
                into[..count].copy_from_slice(&rest[..count]);
                self.position += count;
                return Ok(count);
            }
            self.segments = &self.segments[1..];
            self.position = 0;
        }
        Ok(0)
    }
}

/// The next data of a body; trailers are passed over.
async fn next_chunk(mut body: Pin<&mut Body>) -> Option<Result<Bytes, axum::Error>> {
    loop {
        match std::future::poll_fn(|context| body.as_mut().poll_frame(context)).await? {
            Err(error) => return Some(Err(error)),
            Ok(frame) => {
                if let Ok(data) = frame.into_data() {
                    return Some(Ok(data));
                }
            }
        }
    }
}

/// Resolves some time after the server was asked to end.
async fn last_call(closing: &mut watch::Receiver<bool>) {
    ended(closing).await;
    tokio::time::sleep(LAST_CALL).await;
}

fn announced_bytes(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn too_large(max_bytes: usize) -> Refusal {
    let message = format!("the body is longer than {max_bytes} bytes; send it in parts");
    Refusal::wrong(StatusCode::PAYLOAD_TOO_LARGE, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> Client {
        Client::of(std::net::IpAddr::from([127, 0, 0, 1]))
    }

    #[test]
    fn segments_are_read_back_whole() {
        let budget = Budget::new(1 << 20);
        let mut body = ReceivedBody::default();
        let sent: Vec<u8> = (0..700_000u32).map(|number| (number % 251) as u8).collect();
        for chunk in sent.chunks(777) {
            body.add(client(), chunk, None, &budget).unwrap();
        }
        let mut read = Vec::new();
        body.reader().read_to_end(&mut read).unwrap();
        assert!(read == sent && body.len() == sent.len());
    }

    #[test]
    fn what_is_announced_is_not_reserved_before_it_comes() {
        let budget = Budget::new(64 << 10);
        let mut body = ReceivedBody::default();
        body.add(client(), b"x", Some(8 << 20), &budget).unwrap();
        assert!(budget.reserve(client(), 56 << 10).is_some());
        assert!(body.add(client(), &[0; 100_000], None, &budget).is_err());
    }
}
