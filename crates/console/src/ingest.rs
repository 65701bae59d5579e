//! `POST /v1/events`: events in, answered once they are durable.

use std::sync::Arc;

use adpipe_event::{Encoding, Format, sniff_encoding};
use adpipe_log::{LogError, MAX_QUEUED_BYTES, Topic};
use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use serde::Serialize;
use tokio::sync::Semaphore;

use crate::app::App;
use crate::body::{Limits, ReceivedBody};
use crate::budget::Budget;
use crate::config::{ConsoleConfig, DECOMPRESSED_FACTOR};
use crate::refusal::Refusal;
use crate::split::{self, Appended, Reading};

/// Bodies that are split at the same time. Each holds up to two slices and a decompressor.
const SPLITTERS: usize = 4;

/// Records on their way into the log, for all requests together: as much as it has waiting and
/// being written, and half of that being split.
const RECORDS_BUDGET_BYTES: usize = 2 * MAX_QUEUED_BYTES + MAX_QUEUED_BYTES / 2;

/// What limits the way in.
pub(crate) struct Intake {
    bodies: Budget,
    records: Budget,
    splitters: Arc<Semaphore>,
}

impl Intake {
    pub fn new(config: &ConsoleConfig) -> Intake {
        Intake {
            bodies: Budget::new(config.body_budget_bytes),
            records: Budget::new(RECORDS_BUDGET_BYTES),
            splitters: Arc::new(Semaphore::new(SPLITTERS)),
        }
    }
}

/// The answer to events that were taken.
#[derive(Debug, Serialize)]
pub(crate) struct Accepted {
    accepted: u64,
}

/// The handler.
pub(crate) async fn post_events(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<(StatusCode, Json<Accepted>), Refusal> {
    refuse_when_behind(&app).await?;
    let (head, body) = request.into_parts();
    let declared = declared_encoding(&head.headers)?;
    let format = declared_format(&head.headers);
    let config = &app.config;
    let limits =
        Limits { max_bytes: config.max_body_bytes, pause: config.body_pause, deadline: config.body_deadline };
    let closing = app.closing.subscribe();
    let body = ReceivedBody::receive(&head.headers, body, &limits, &app.intake.bodies, closing).await?;
    if body.len() == 0 {
        return Err(Refusal::wrong(StatusCode::BAD_REQUEST, "the body is empty"));
    }
    let reading = Reading {
        format,
        encoding: declared.unwrap_or_else(|| sniff_encoding(body.start())),
        max_record_bytes: config.max_record_bytes,
        max_decompressed_bytes: config.max_body_bytes as u64 * DECOMPRESSED_FACTOR,
    };
    let appended = split_and_append(&app, body, reading).await?;
    let Appended { records, ticket, held } = appended;
    ticket.durable().await.map_err(|error| durable_refusal(&error))?;
    drop(held);
    app.services.metrics.records_appended.with_label_values(&[Topic::Raw.name()]).inc_by(records);
    Ok((StatusCode::ACCEPTED, Json(Accepted { accepted: records })))
}

async fn refuse_when_behind(app: &App) -> Result<(), Refusal> {
    match app.lag.records().await? {
        Some(records) if records > app.config.max_lag_records => Err(Refusal::busy(format!(
            "{records} records wait for the processor, more than max_lag_records = {}; try again shortly",
            app.config.max_lag_records
        ))),
        _ => Ok(()),
    }
}

/// Splitting and decompression take milliseconds, so they leave the threads that serve sockets.
async fn split_and_append(app: &Arc<App>, body: ReceivedBody, reading: Reading) -> Result<Appended, Refusal> {
    let splitters = Arc::clone(&app.intake.splitters);
    let splitter = splitters.acquire_owned().await.map_err(|error| Refusal::internal(&error))?;
    let app = Arc::clone(app);
    tokio::task::spawn_blocking(move || {
        let _splitter = splitter;
        split::append_body(&body, &reading, app.services.log.as_ref(), &app.intake.records)
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
fn declared_format(headers: &HeaderMap) -> Option<Format> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let media_type = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match media_type.as_str() {
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Some(Format::Ndjson),
        "application/json" => Some(Format::JsonArray),
        "text/csv" => Some(Format::Csv),
        _ => None,
    }
}
