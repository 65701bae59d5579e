//! `POST /v1/events`: events in, answered once they are durable.

use std::sync::Arc;
use std::time::{Duration, Instant};

use adpipe_event::{Encoding, Format, sniff_encoding};
use adpipe_log::{LogError, MAX_QUEUED_BYTES, Topic};
use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use serde::Serialize;

use crate::app::App;
use crate::body::{Limits, ReceivedBody};
use crate::budget::Budget;
use crate::client::Client;
use crate::config::{ConsoleConfig, DECOMPRESSED_FACTOR};
use crate::fair::FairPlaces;
use crate::judge::BodyLimits;
use crate::refusal::Refusal;
use crate::senders::Senders;
use crate::split::{self, Appended, Reading, Share};

/// Bodies that are split at the same time. Each holds up to two slices and a decompressor.
const SPLITTERS: usize = 4;

/// How long a body waits for its turn to be split.
const SPLIT_PATIENCE: Duration = Duration::from_secs(10);

/// Records on their way into the log, for all requests together: as much as it has waiting and
/// being written, and half of that being split.
const RECORDS_BUDGET_BYTES: usize = 2 * MAX_QUEUED_BYTES + MAX_QUEUED_BYTES / 2;

/// What limits the way in.
pub(crate) struct Intake {
    /// Bodies of every route.
    pub bodies: Budget,
    records: Budget,
    splitters: FairPlaces,
    senders: Senders,
}

impl Intake {
    pub fn new(config: &ConsoleConfig) -> Intake {
        Intake {
            bodies: Budget::new(config.body_budget_bytes),
            records: Budget::new(RECORDS_BUDGET_BYTES),
            splitters: FairPlaces::new(SPLITTERS),
            senders: Senders::default(),
        }
    }
}

/// The answer to events that were taken.
#[derive(Debug, Serialize)]
pub(crate) struct Accepted {
    accepted: u64,
    /// Of these, records longer than one may be: only their beginning was kept, as an error.
    #[serde(skip_serializing_if = "is_zero")]
    too_long: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The handler.
pub(crate) async fn post_events(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<(StatusCode, Json<Accepted>), Refusal> {
    let client = Client::of_request(&request);
    refuse_when_behind(&app, client).await?;
    let (head, body) = request.into_parts();
    let declared = declared_encoding(&head.headers)?;
    let format = declared_format(&head.headers)?;
    let config = &app.config;
    let limits =
        Limits { max_bytes: config.max_body_bytes, pause: config.body_pause, deadline: config.body_deadline };
    let closing = app.closing.subscribe();
    let body =
        ReceivedBody::receive(client, &head.headers, body, &limits, &app.intake.bodies, closing).await?;
    if body.len() == 0 {
        return Err(Refusal::wrong(StatusCode::BAD_REQUEST, "the body is empty"));
    }
    let reading = Reading {
        format,
        encoding: declared.unwrap_or_else(|| sniff_encoding(body.start())),
        limits: BodyLimits {
            max_records: config.max_body_records,
            max_errors: config.max_body_errors,
            max_record_bytes: config.max_record_bytes,
        },
        fields: config.fields.clone(),
        max_decompressed_bytes: config.max_body_bytes as u64 * DECOMPRESSED_FACTOR,
    };
    let appended = split_and_append(&app, client, body, reading).await?;
    let Appended { records, too_long, ticket, held, admitted } = appended;
    ticket.durable().await.map_err(|error| durable_refusal(&error))?;
    drop((held, admitted));
    app.services.metrics.records_appended.with_label_values(&[Topic::Raw.name()]).inc_by(records);
    Ok((StatusCode::ACCEPTED, Json(Accepted { accepted: records, too_long })))
}

/// Refuses a body that would come too late to be stored soon.
async fn refuse_when_behind(app: &App, client: Client) -> Result<(), Refusal> {
    match app.lag.lag().await? {
        Some(lag) if lag.all() > most_waiting(app, client) => Err(behind(app, lag.records, lag.errors)),
        _ => Ok(()),
    }
}

/// Records that may wait before a sender is refused. For those that sent hardly anything lately
/// they are twice as many: the flood of one must not shut out the others. (The errors of the batch
/// that is being written count twice, too: as records and as errors.)
fn most_waiting(app: &App, client: Client) -> u64 {
    let most = app.config.max_lag_records;
    match app.intake.senders.is_light(client, Instant::now()) {
        true => most.saturating_mul(2),
        false => most,
    }
}

fn behind(app: &App, records: u64, errors: u64) -> Refusal {
    let most = app.config.max_lag_records;
    let waiting = match errors {
        0 => format!("{records} records wait for the processor"),
        errors => format!(
            "{records} records wait for the processor and {errors} errors for the dead-letter queue (is its role at work?)"
        ),
    };
    Refusal::busy(format!("{waiting}, more than max_lag_records = {most}; try again shortly"))
}

/// Splitting and decompression take milliseconds, so they leave the threads that serve sockets.
async fn split_and_append(
    app: &Arc<App>,
    client: Client,
    body: ReceivedBody,
    reading: Reading,
) -> Result<Appended, Refusal> {
    let splitter =
        app.intake.splitters.take(client, SPLIT_PATIENCE).await.ok_or_else(|| {
            Refusal::busy("too many bodies of this sender wait already; send fewer at once")
        })?;
    // Those that were before it may have filled the queue.
    refuse_when_behind(app, client).await?;
    let app = Arc::clone(app);
    tokio::task::spawn_blocking(move || {
        let _splitter = splitter;
        let share = Share { budget: &app.intake.records, client };
        split::append_body(&body, &reading, app.services.log.as_ref(), share, |records| {
            let most = app.config.max_lag_records;
            let admitted = app.lag.admit(records, most_waiting(&app, client)).map_err(|waiting| {
                Refusal::busy(format!(
                    "{waiting} records wait already; with the {records} of this body they would be too \
                     many (max_lag_records = {most}); try again shortly"
                ))
            })?;
            app.intake.senders.note(client, records, Instant::now());
            Ok(admitted)
        })
    })
    .await
    .map_err(|error| Refusal::internal(&error))?
}

fn durable_refusal(error: &LogError) -> Refusal {
    let refusal = split::refusal_of(error);
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
            return Err(split::foreign("is Protocol Buffers; send JSON instead"));
        }
        _ => None,
    })
}
