//! `POST /v1/events`: events in, answered once they are durable.
//!
//! `admission.rs` refuses bodies while too much waits for the processor; `append.rs` takes a body that
//! was received, has it split (`splitter.rs`, `decompress.rs`) and judged (`judge.rs`), and hands it to
//! the log slice by slice.

mod admission;
mod append;
mod decompress;
mod judge;
mod reading;
mod senders;
mod splitter;

use std::sync::Arc;
use std::time::Duration;

use adpipe_event::{Encoding, FieldMap, Format, sniff_encoding};
use adpipe_log::{EventLog, LogError, MAX_QUEUED_BYTES, Topic};
use adpipe_metrics::Metrics;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::post;
use axum::{Json, Router};
use serde::Serialize;
use tokio::sync::watch;

use crate::http::{Budget, Client, FairSemaphore, ReceiveLimits, ReceivedBody, Refusal};
use crate::lag::LagGauge;
use admission::Admission;
use append::{Appended, Share, append_body};
use judge::ContentLimits;
use reading::{Reading, foreign};

/// Where events are sent.
pub const EVENTS_PATH: &str = "/v1/events";

/// Bodies that are split at the same time. Each holds up to two slices and a decompressor.
const SPLITTERS: usize = 4;

/// How long a body waits for its turn to be split.
const SPLIT_PATIENCE: Duration = Duration::from_secs(10);

/// Records on their way into the log, for all requests together: as much as it has waiting and
/// being written, and half of that being split.
const RECORDS_BUDGET_BYTES: usize = 2 * MAX_QUEUED_BYTES + MAX_QUEUED_BYTES / 2;

/// How many times as long as `max_body_bytes` a body may become by decompression.
pub const DECOMPRESSED_FACTOR: u64 = 8;

/// What is taken from a sender.
#[derive(Debug, Clone)]
pub struct EventsConfig {
    /// Longest body of one request, as received. Decompressed it may be
    /// [`DECOMPRESSED_FACTOR`] times as long.
    pub max_body_bytes: usize,
    /// A body may pause for this long …
    pub body_pause: Duration,
    /// … and must be complete within this.
    pub body_deadline: Duration,
    /// Events are refused (429) while more records than this wait for the processor.
    pub max_lag_records: u64,
    /// Records that one body may hold; of more it is refused (413).
    pub max_body_records: u64,
    /// A body of which hardly any record can be read is refused (422) when it holds more unreadable
    /// ones than this.
    pub max_body_errors: u64,
    /// Longest record; of a longer one the beginning is kept, as an error to be.
    pub max_record_bytes: usize,
    /// Which fields of the input give those of an event.
    pub fields: FieldMap,
}

impl Default for EventsConfig {
    fn default() -> EventsConfig {
        EventsConfig {
            max_body_bytes: 8 << 20,
            body_pause: Duration::from_secs(30),
            body_deadline: Duration::from_secs(60),
            max_lag_records: 5_000_000,
            max_body_records: 500_000,
            max_body_errors: 10_000,
            max_record_bytes: 1 << 20,
            fields: FieldMap::default(),
        }
    }
}

/// Takes events in.
pub struct EventsEndpoint {
    config: EventsConfig,
    log: Arc<dyn EventLog>,
    metrics: Metrics,
    admission: Admission,
    bodies: Budget,
    records: Budget,
    splitters: FairSemaphore,
    closing: watch::Receiver<bool>,
}

impl EventsEndpoint {
    /// An endpoint that appends to `log`. `bodies` is the memory of what arrives, on other routes too;
    /// `closing` turns true when the server ends.
    pub fn new(
        config: EventsConfig,
        log: Arc<dyn EventLog>,
        metrics: Metrics,
        gauge: LagGauge,
        bodies: Budget,
        closing: watch::Receiver<bool>,
    ) -> EventsEndpoint {
        EventsEndpoint {
            admission: Admission::new(gauge, config.max_lag_records),
            config,
            log,
            metrics,
            bodies,
            records: Budget::new(RECORDS_BUDGET_BYTES),
            splitters: FairSemaphore::new(SPLITTERS),
            closing,
        }
    }

    /// The route, for a server to mount.
    pub fn router<S: Clone + Send + Sync + 'static>(self: Arc<EventsEndpoint>) -> Router<S> {
        Router::new().route(EVENTS_PATH, post(post_events)).with_state(self)
    }

    /// Records that wait for the processor. None if this cannot be measured.
    ///
    /// # Errors
    /// 503 when the log does not answer.
    pub async fn waiting_records(&self) -> Result<Option<u64>, Refusal> {
        Ok(self.admission.lag().await?.map(|lag| lag.records))
    }

    fn reading(&self, format: Option<Format>, encoding: Encoding) -> Reading {
        let config = &self.config;
        Reading {
            format,
            encoding,
            limits: ContentLimits {
                max_records: config.max_body_records,
                max_errors: config.max_body_errors,
                max_record_bytes: config.max_record_bytes,
            },
            fields: config.fields.clone(),
            max_decompressed_bytes: config.max_body_bytes as u64 * DECOMPRESSED_FACTOR,
        }
    }
}

/// The answer to events that were taken.
#[derive(Debug, Serialize)]
struct Accepted {
    accepted: u64,
    /// Of these, records longer than one may be: only their beginning was kept, as an error.
    #[serde(skip_serializing_if = "is_zero")]
    too_long: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

async fn post_events(
    State(endpoint): State<Arc<EventsEndpoint>>,
    request: Request,
) -> Result<(StatusCode, Json<Accepted>), Refusal> {
    let client = Client::of_request(&request);
    endpoint.admission.refuse_when_behind(client).await?;
    let (head, body) = request.into_parts();
    let declared = declared_encoding(&head.headers)?;
    let format = declared_format(&head.headers)?;
    let config = &endpoint.config;
    let limits = ReceiveLimits {
        max_bytes: config.max_body_bytes,
        pause: config.body_pause,
        deadline: config.body_deadline,
    };
    let (bodies, closing) = (&endpoint.bodies, endpoint.closing.clone());
    let body = ReceivedBody::receive(client, &head.headers, body, &limits, bodies, closing).await?;
    if body.is_empty() {
        return Err(Refusal::wrong(StatusCode::BAD_REQUEST, "the body is empty"));
    }
    let reading = endpoint.reading(format, declared.unwrap_or_else(|| sniff_encoding(body.start())));
    let appended = split_and_append(&endpoint, client, body, reading).await?;
    let Appended { records, too_long, ticket, held, admitted } = appended;
    ticket.durable().await.map_err(|error| durable_refusal(&error))?;
    drop((held, admitted));
    endpoint.metrics.records_appended.with_label_values(&[Topic::Raw.name()]).inc_by(records);
    Ok((StatusCode::ACCEPTED, Json(Accepted { accepted: records, too_long })))
}

/// Splitting and decompression take milliseconds, so they leave the threads that serve sockets.
async fn split_and_append(
    endpoint: &Arc<EventsEndpoint>,
    client: Client,
    body: ReceivedBody,
    reading: Reading,
) -> Result<Appended, Refusal> {
    let permit =
        endpoint.splitters.acquire(client, SPLIT_PATIENCE).await.ok_or_else(|| {
            Refusal::busy("too many bodies of this sender wait already; send fewer at once")
        })?;
    // Those that were before it may have filled the queue.
    endpoint.admission.refuse_when_behind(client).await?;
    let endpoint = Arc::clone(endpoint);
    tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let share = Share { budget: &endpoint.records, client };
        let admit = |records| endpoint.admission.admit(client, records);
        append_body(&body, &reading, endpoint.log.as_ref(), share, admit)
    })
    .await
    .map_err(|error| Refusal::internal(&error))?
}

fn durable_refusal(error: &LogError) -> Refusal {
    let refusal = append::refusal_of(error);
    tracing::warn!(%error, "events could not be made durable and were refused");
    refusal
}

fn declared_encoding(headers: &HeaderMap) -> Result<Option<Encoding>, Refusal> {
    let Some(value) = headers.get(header::CONTENT_ENCODING) else { return Ok(None) };
    let name = value.to_str().unwrap_or_default().trim().to_ascii_lowercase();
    match name.as_str() {
        "" | "identity" => Ok(None),
        "gzip" | "x-gzip" => Ok(Some(Encoding::Gzip)),
        "zstd" => Ok(Some(Encoding::Zstd)),
        _ => Err(Refusal::wrong(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "this content-encoding is not understood; use gzip, zstd or none",
        )),
    }
}

/// The format that the content type names; none when it does not say, as with curl's default.
fn declared_format(headers: &HeaderMap) -> Result<Option<Format>, Refusal> {
    let Some(value) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        return Ok(None);
    };
    let media_type = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    Ok(match media_type.as_str() {
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Some(Format::Ndjson),
        "application/json" => Some(Format::JsonArray),
        "text/csv" => Some(Format::Csv),
        // Their first bytes would not show these.
        "application/x-protobuf" | "application/protobuf" | "application/grpc" => {
            return Err(foreign("is Protocol Buffers; send JSON instead"));
        }
        _ => None,
    })
}
