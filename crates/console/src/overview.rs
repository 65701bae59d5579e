//! `GET /api/overview`: everything on the first page that does not change by the second.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adpipe_event::Millis;
use adpipe_ingest::http::Refusal;
use adpipe_warehouse::report;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use hyper::body::Bytes;
use serde::Serialize;
use tokio::sync::Mutex;

use crate::answer::json_headers;
use crate::app::App;
use crate::config::Services;
use crate::figures::{CtrReport, Range, Totals, ctr_report};
use crate::outbox::counted;
use crate::recent_errors::{self, RecentError};

/// An answer is given again for this long, however many people look.
const FRESH: Duration = Duration::from_secs(1);

#[derive(Serialize)]
struct Overview {
    /// When it was computed, ms since the Unix epoch.
    at: i64,
    #[serde(flatten)]
    ctr: CtrReport,
    totals: Totals,
    /// Records that wait for the processor; null if this cannot be measured.
    lag: Option<u64>,
    errors: Vec<RecentError>,
    /// Why the errors cannot be shown, when they cannot.
    errors_problem: Option<String>,
}

/// An answer and when it was made.
type Answer = Option<(Instant, Bytes)>;

/// The newest answer for each range.
pub(crate) struct Overviews(Vec<(Range, Mutex<Answer>)>);

impl Overviews {
    pub fn new() -> Overviews {
        Overviews(Range::ALL.into_iter().map(|range| (range, Mutex::new(None))).collect())
    }
}

/// The handler.
pub(crate) async fn get_overview(
    State(app): State<Arc<App>>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Result<Response, Refusal> {
    let name = query.get("range").map_or("24h", String::as_str);
    let unknown = || Refusal::wrong(StatusCode::BAD_REQUEST, "range must be 1h, 24h, 7d or 30d");
    let range = Range::from_name(name).ok_or_else(unknown)?;
    if let Some(until) = query.get("to").filter(|text| !text.is_empty()) {
        let message = "to must be a time in UTC, such as 2014-10-28T12:00";
        let until = until_of(until).ok_or_else(|| Refusal::wrong(StatusCode::BAD_REQUEST, message))?;
        // Few look at the same moment of the past: nothing is kept for others.
        return Ok((json_headers(), compute(&app, range, Some(until)).await?).into_response());
    }
    let slot = app.overviews.0.iter().find(|(of, _)| *of == range);
    let (_, slot) = slot.ok_or_else(unknown)?;
    // Other requests for the same range wait here and then share the answer.
    let mut newest = slot.lock().await;
    let fresh = newest.as_ref().filter(|(made_at, _)| made_at.elapsed() < FRESH);
    let json = match fresh {
        Some((_, json)) => json.clone(),
        None => {
            let json = compute(&app, range, None).await?;
            *newest = Some((Instant::now(), json.clone()));
            json
        }
    };
    // All requests within a second get the same bytes.
    Ok(counted((json_headers(), json).into_response()))
}

/// A time as a person or a page writes it: to the day, the minute or the second.
fn until_of(text: &str) -> Option<Millis> {
    let time = text.trim().trim_end_matches('Z');
    Millis::parse_sql(&match time.len() {
        10 => format!("{time} 00:00:00"),
        16 => format!("{time}:00"),
        _ => time.to_owned(),
    })
}

async fn compute(app: &App, range: Range, until: Option<Millis>) -> Result<Bytes, Refusal> {
    let lag = app.events.waiting_records().await.ok().flatten();
    let services = app.services.clone();
    app.work.run(move || measure(&services, range, until, lag)).await?
}

fn measure(
    services: &Services,
    range: Range,
    until: Option<Millis>,
    lag: Option<u64>,
) -> Result<Bytes, Refusal> {
    let (warehouse, now) = (services.warehouse.as_ref(), Millis::now());
    let unavailable = |error: adpipe_warehouse::WarehouseError| Refusal::unavailable(error.to_string());
    let (errors, errors_problem) = match recent_errors::newest(services.log.as_ref()) {
        Ok(errors) => (errors, None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    let overview = Overview {
        at: now.0,
        ctr: ctr_report(warehouse, range, until, now).map_err(unavailable)?,
        totals: report::totals(warehouse).map_err(unavailable)?.all().into(),
        lag,
        errors,
        errors_problem,
    };
    serde_json::to_vec(&overview).map(Bytes::from).map_err(|error| Refusal::internal(&error))
}
