//! `GET /api/overview`: everything on the first page that does not change by the second.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adpipe_event::Millis;
use adpipe_warehouse::report;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Bytes;
use serde::Serialize;
use tokio::sync::Mutex;

use crate::app::App;
use crate::config::Services;
use crate::figures::{CtrReport, Range, Totals, ctr_report};
use crate::outbox::counted;
use crate::recent_errors::{self, RecentError};
use crate::refusal::Refusal;

/// An answer is given again for this long, however many people look.
const FRESH: Duration = Duration::from_secs(1);

#[derive(Serialize)]
struct Overview {
    /// When it was computed, ms since the Unix epoch.
    at: i64,
    #[serde(flatten)]
    ctr: CtrReport,
    totals: Totals,
    /// Records that wait for the processor; null when nobody can tell.
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
    let slot = app.overviews.0.iter().find(|(of, _)| *of == range);
    let (_, slot) = slot.ok_or_else(unknown)?;
    // Others who ask for the same range wait here and then share the answer.
    let mut newest = slot.lock().await;
    let fresh = newest.as_ref().filter(|(made_at, _)| made_at.elapsed() < FRESH);
    let json = match fresh {
        Some((_, json)) => json.clone(),
        None => {
            let json = compute(&app, range).await?;
            *newest = Some((Instant::now(), json.clone()));
            json
        }
    };
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    // Everybody who asks within a second gets the same bytes.
    Ok(counted((headers, json).into_response()))
}

async fn compute(app: &App, range: Range) -> Result<Bytes, Refusal> {
    let lag = app.lag.records().await.ok().flatten();
    let services = app.services.clone();
    app.work.run(move || measure(&services, range, lag)).await?
}

fn measure(services: &Services, range: Range, lag: Option<u64>) -> Result<Bytes, Refusal> {
    let warehouse = services.warehouse.as_ref();
    let unavailable = |error: adpipe_warehouse::WarehouseError| Refusal::unavailable(error.to_string());
    let (errors, errors_problem) = match recent_errors::newest(services.log.as_ref()) {
        Ok(errors) => (errors, None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    let overview = Overview {
        at: Millis::now().0,
        ctr: ctr_report(warehouse, range).map_err(unavailable)?,
        totals: report::totals(warehouse).map_err(unavailable)?.into(),
        lag,
        errors,
        errors_problem,
    };
    serde_json::to_vec(&overview).map(Bytes::from).map_err(|error| Refusal::internal(&error))
}
