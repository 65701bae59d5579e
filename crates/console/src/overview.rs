//! The first page, and `GET /api/overview`: everything on it that does not change by the second.

use std::sync::Arc;
use std::time::{Duration, Instant};

use adpipe_event::Millis;
use adpipe_ingest::EventsEndpoint;
use adpipe_ingest::http::Refusal;
use adpipe_log::EventLog;
use adpipe_warehouse::{Warehouse, report};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper::body::Bytes;
use minijinja::context;
use serde::Serialize;
use tokio::sync::Mutex;

use crate::answer::json_headers;
use crate::figures::{CtrReport, Range, Totals, ctr_report};
use crate::outbox::counted;
use crate::page::Pages;
use crate::query::Parameters;
use crate::recent_errors::{self, RecentError};
use crate::work::Work;

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
type Kept = Mutex<Option<(Instant, Bytes)>>;

/// What an overview is computed from, and the newest one of each range.
#[derive(Clone)]
pub(crate) struct Overviews {
    log: Arc<dyn EventLog>,
    warehouse: Arc<dyn Warehouse>,
    events: Arc<EventsEndpoint>,
    work: Work,
    newest: Arc<[(Range, Kept)]>,
}

impl Overviews {
    pub fn new(
        log: Arc<dyn EventLog>,
        warehouse: Arc<dyn Warehouse>,
        events: Arc<EventsEndpoint>,
        work: Work,
    ) -> Overviews {
        let newest = Range::ALL.into_iter().map(|range| (range, Kept::default())).collect();
        Overviews { log, warehouse, events, work, newest }
    }

    async fn compute(&self, range: Range, until: Option<Millis>) -> Result<Bytes, Refusal> {
        let lag = self.events.waiting_records().await.ok().flatten();
        let (log, warehouse) = (Arc::clone(&self.log), Arc::clone(&self.warehouse));
        self.work.run(move || measure(log.as_ref(), warehouse.as_ref(), range, until, lag)).await?
    }
}

/// `GET /`.
pub(crate) async fn get_page(
    State(pages): State<Pages>,
    Query(query): Query<Parameters>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let range = query.get("range").and_then(|name| Range::from_name(name)).unwrap_or(Range::Day);
    let ranges: Vec<&str> = Range::ALL.into_iter().map(Range::name).collect();
    // A page that asks for another end computes the address of its figures itself.
    let is_newest = query.get("to").is_none_or(String::is_empty);
    let more =
        context! { page => "overview", range => range.name(), ranges => ranges, is_newest => is_newest };
    pages.show("overview.html", &query, &headers, more).await
}

/// `GET /api/overview?range=24h&to=TIME`.
pub(crate) async fn get_overview(
    State(overviews): State<Overviews>,
    Query(query): Query<Parameters>,
) -> Result<Response, Refusal> {
    let name = query.get("range").map_or("24h", String::as_str);
    let unknown = || Refusal::wrong(StatusCode::BAD_REQUEST, "range must be 1h, 24h, 7d or 30d");
    let range = Range::from_name(name).ok_or_else(unknown)?;
    if let Some(until) = query.get("to").filter(|text| !text.is_empty()) {
        let message = "to must be a time in UTC, such as 2014-10-28T12:00";
        let until = until_of(until).ok_or_else(|| Refusal::wrong(StatusCode::BAD_REQUEST, message))?;
        // Few look at the same moment of the past: nothing is kept for others.
        return Ok((json_headers(), overviews.compute(range, Some(until)).await?).into_response());
    }
    let kept = overviews.newest.iter().find(|(of, _)| *of == range);
    let (_, kept) = kept.ok_or_else(unknown)?;
    // Other requests for the same range wait here and then share the answer.
    let mut newest = kept.lock().await;
    let fresh = newest.as_ref().filter(|(made_at, _)| made_at.elapsed() < FRESH);
    let json = match fresh {
        Some((_, json)) => json.clone(),
        None => {
            let json = overviews.compute(range, None).await?;
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

fn measure(
    log: &dyn EventLog,
    warehouse: &dyn Warehouse,
    range: Range,
    until: Option<Millis>,
    lag: Option<u64>,
) -> Result<Bytes, Refusal> {
    let now = Millis::now();
    let unavailable = |error: adpipe_warehouse::WarehouseError| Refusal::unavailable(error.to_string());
    let (errors, errors_problem) = match recent_errors::newest(log) {
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
