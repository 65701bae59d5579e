//! The page "Operations": alerts, silences, processes, and the charts of the last day.
//!
//! `alerts.rs` shows and changes alerts and silences, `processes.rs` says who is at work,
//! `charts.rs` draws what the monitor measured, `latency.rs` the heat map, `runbook.rs` says what to
//! do. Measuring and judging is the monitor's (`crates/monitor`), in whichever process that is; here
//! is only looked at, acknowledged and silenced.

pub(crate) mod alerts;
pub(crate) mod charts;
mod latency;
mod processes;
pub(crate) mod runbook;

use adpipe_event::Millis;
use adpipe_ingest::http::Refusal;
use adpipe_monitor::MonitorError;
use adpipe_monitor::rules::Rules;
use adpipe_sql::section;
use adpipe_warehouse::{Warehouse, query_table};
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use minijinja::context;
use serde::Serialize;

use self::charts::ChartSpan;
use crate::alerting::Alerting;
use crate::answer::{Asking, time};
use crate::i18n::Language;
use crate::page::Pages;
use crate::query::Parameters;

const SQL: &str = include_str!("../../sql/operations.sql");
const NEWEST_READING: &str = section(SQL, "newest_reading");

/// A monitor measures every 15 s; one that has not measured for this long does not run.
const SILENT_MS: i64 = 60_000;

/// The answer of `GET /api/operations`. Times are ms since the Unix epoch.
#[derive(Serialize)]
struct Operations {
    /// When it was read.
    at: i64,
    monitor: Monitor,
    #[serde(flatten)]
    alerts: alerts::Alerts,
    processes: Vec<processes::Process>,
}

/// The process that measures and evaluates.
#[derive(Serialize)]
struct Monitor {
    is_at_work: bool,
    newest_reading: Option<i64>,
}

/// `GET /operations`.
pub(crate) async fn get_page(
    State(pages): State<Pages>,
    Query(query): Query<Parameters>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let more = context! { page => "operations", ranges => ChartSpan::ALL.map(ChartSpan::name) };
    pages.show("operations.html", &query, &headers, more).await
}

/// `GET /api/operations?lang=en`.
pub(crate) async fn get_operations(
    State(alerting): State<Alerting>,
    asking: Asking,
    Query(query): Query<Parameters>,
) -> Result<Response, Refusal> {
    let language = Language::of_query(&query).into();
    let read = move |warehouse: &dyn Warehouse, rules: &Rules| {
        let now = Millis::now();
        Ok(Operations {
            at: now.0,
            monitor: monitor(warehouse, now)?,
            alerts: alerts::alerts(warehouse, rules, language, now)?,
            processes: processes::processes(warehouse, now)?,
        })
    };
    alerting.json(asking, read).await
}

fn monitor(warehouse: &dyn Warehouse, now: Millis) -> Result<Monitor, MonitorError> {
    let newest = time(&query_table(warehouse, NEWEST_READING, &[])?.one()?, "newest")?;
    let is_at_work = match newest {
        Some(newest) => now.0 - newest < SILENT_MS,
        // One that has just begun has measured nothing yet.
        None => adpipe_schedule::lease::holder(warehouse, adpipe_schedule::lease::MONITOR)?.is_some(),
    };
    Ok(Monitor { is_at_work, newest_reading: newest })
}
