//! The stream, the log and the dead-letter queue.

use adpipe_dlq::role::lag_of as error_lag;
use adpipe_event::Millis;
use adpipe_sql::section;
use adpipe_stream::backlog;
use adpipe_warehouse::{Row, Value, WarehouseError, query_table, report};
use serde_json::{Value as Json, json};

use super::{Measure, MonitorError, Sources, commits, single};
use crate::history;
use crate::signal::{ERROR_BUDGET, Reading, Signal};

const SQL: &str = include_str!("../../sql/figures.sql");
const IMPRESSIONS: &str = section(SQL, "impressions");
const DLQ_COUNTS: &str = section(SQL, "dlq_counts");
const DLQ_CAUSES: &str = section(SQL, "dlq_causes");
const DLQ_NEWEST_CAUSES: &str = section(SQL, "dlq_newest_causes");
const DLQ_EXHAUSTED_CAUSES: &str = section(SQL, "dlq_exhausted_causes");
const DLQ_BEFORE: &str = section(SQL, "dlq_before");

/// How old a figure "of a window ago" may be beyond that, as with Prometheus.
const LOOK_BACK_MS: i64 = 300_000;

/// An answer of the warehouse that takes longer is slow.
const SLOW_MS: u64 = 1_000;

pub(super) fn throughput(
    sources: &Sources,
    measure: &Measure,
    now: Millis,
) -> Result<Vec<Reading>, MonitorError> {
    let warehouse = sources.warehouse.as_ref();
    // A pipeline that never had an event is not slow.
    if report::newest_commit(warehouse)?.is_none() {
        return Ok(Vec::new());
    }
    let sums = sources.memory.minutes.over(warehouse, measure.window, now)?;
    let minutes = measure.window.as_secs_f64() / 60.0;
    let per_minute = sums.records as f64 / minutes;
    Ok(single(per_minute, why(sources, per_minute, measure, now).unwrap_or(Json::Null)))
}

/// What the throughput comes from: nothing came in, or the processor does not keep up.
fn why(sources: &Sources, per_minute: f64, measure: &Measure, now: Millis) -> Result<Json, MonitorError> {
    let waiting = waiting(sources)?;
    let before = history::reading_before(sources.warehouse.as_ref(), Signal::Lag, before(measure, now))?;
    let more_waiting = before.map_or(0.0, |before| waiting as f64 - before);
    let appended = (per_minute + more_waiting * 60.0 / measure.window.as_secs_f64()).max(0.0);
    let last_week = Millis(now.0 - 7 * 86_400_000).floor_hour();
    let usual = query_table(sources.warehouse.as_ref(), IMPRESSIONS, &[last_week.to_string().into()])?;
    let usual: Option<f64> = usual.one()?.get("impressions")?;
    let answer_ms = sources.pulse.answer_time().as_millis() as u64;
    let cause = match () {
        () if waiting > 0 && answer_ms >= SLOW_MS => "warehouse_slow",
        () if waiting > 0 && more_waiting > 0.0 => "processor_behind",
        () if waiting == 0 && per_minute == 0.0 => "source_silent",
        () => "few_events",
    };
    Ok(json!({
        "why": cause,
        "appended_per_minute": appended.round(),
        "waiting": waiting,
        "more_waiting": more_waiting,
        "warehouse_answers_in_ms": answer_ms,
        // Events of the same hour last week; null when there were none.
        "last_week_per_minute": usual.map(|events| (events / 60.0).round()),
    }))
}

pub(super) fn latency(
    sources: &Sources,
    measure: &Measure,
    now: Millis,
) -> Result<Vec<Reading>, MonitorError> {
    let latencies = commits::latencies(sources.warehouse.as_ref(), measure.window, now)?;
    let seconds = |q| latencies.quantile_ms(q).map(|ms| ms / 1_000.0);
    let context = json!({ "p50_seconds": seconds(0.5), "p99_seconds": seconds(0.99) });
    Ok(seconds(0.95).map_or_else(Vec::new, |value| single(value, context)))
}

pub(super) fn error_share(
    sources: &Sources,
    measure: &Measure,
    now: Millis,
) -> Result<Vec<Reading>, MonitorError> {
    let sums = sources.memory.minutes.over(sources.warehouse.as_ref(), measure.window, now)?;
    match sums.error_share() {
        Some(share) if sums.judged() >= measure.records => {
            Ok(single(share, newest_causes_when(sources, sums.invalid > 0, measure, now)?))
        }
        _ => Ok(Vec::new()),
    }
}

pub(super) fn burn_rate(
    sources: &Sources,
    measure: &Measure,
    now: Millis,
) -> Result<Vec<Reading>, MonitorError> {
    let over = |window| sources.memory.minutes.over(sources.warehouse.as_ref(), window, now);
    let long = over(measure.window)?;
    let short = match measure.short_window {
        Some(window) => over(window)?,
        None => long,
    };
    if long.judged() < measure.records.max(1) {
        return Ok(Vec::new());
    }
    // Without a record in the short window nothing burns now.
    let share = long.error_share().unwrap_or(0.0).min(short.error_share().unwrap_or(0.0));
    Ok(single(share / ERROR_BUDGET, newest_causes_when(sources, share > 0.0, measure, now)?))
}

pub(super) fn stalled(sources: &Sources, now: Millis) -> Result<Vec<Reading>, MonitorError> {
    let waiting = backlog::records(sources.log.as_ref(), sources.warehouse.as_ref())?;
    let waiting_since = sources.memory.waits(waiting > 0, now);
    let Some(waiting_since) = waiting_since else { return Ok(single(0.0, Json::Null)) };
    // A processor that never committed is measured from when we saw the first record wait.
    let since = report::newest_commit(sources.warehouse.as_ref())?.unwrap_or(waiting_since);
    let seconds = (now.0 - since.0).max(0) as f64 / 1_000.0;
    Ok(single(seconds, json!({ "waiting": waiting, "last_commit": since.to_string() })))
}

/// Records that wait, errors that are to be stored included.
fn waiting(sources: &Sources) -> Result<u64, MonitorError> {
    let (log, warehouse) = (sources.log.as_ref(), sources.warehouse.as_ref());
    let events = backlog::records(log, warehouse)?;
    let errors: u64 = error_lag(log, warehouse)?.iter().map(|(_, records)| records).sum();
    Ok(events + errors)
}

pub(super) fn lag(sources: &Sources) -> Result<Vec<Reading>, MonitorError> {
    Ok(single(waiting(sources)? as f64, Json::Null))
}

pub(super) fn lag_growth(
    sources: &Sources,
    measure: &Measure,
    now: Millis,
) -> Result<Vec<Reading>, MonitorError> {
    let before = history::reading_before(sources.warehouse.as_ref(), Signal::Lag, before(measure, now))?;
    let Some(before) = before else { return Ok(Vec::new()) };
    let waiting = waiting(sources)? as f64;
    Ok(single(waiting - before, json!({ "waiting": waiting })))
}

/// Open errors, and those of them that need a decision: they are not retried, or not any more.
fn dlq_counts(sources: &Sources) -> Result<(f64, f64), MonitorError> {
    let table = query_table(sources.warehouse.as_ref(), DLQ_COUNTS, &[])?;
    let row = table.one()?;
    Ok((row.get("open")?, row.get("exhausted")?))
}

pub(super) fn dlq_open(sources: &Sources) -> Result<Vec<Reading>, MonitorError> {
    let (open, _) = dlq_counts(sources)?;
    Ok(single(open, causes_when(sources, open > 0.0)?))
}

pub(super) fn dlq_exhausted(sources: &Sources) -> Result<Vec<Reading>, MonitorError> {
    let (_, exhausted) = dlq_counts(sources)?;
    let context =
        if exhausted > 0.0 { causes(sources, DLQ_EXHAUSTED_CAUSES, &[], "exhausted")? } else { Json::Null };
    Ok(single(exhausted, context))
}

pub(super) fn dlq_growth(
    sources: &Sources,
    measure: &Measure,
    now: Millis,
) -> Result<Vec<Reading>, MonitorError> {
    let at = before(measure, now);
    let bounds = [at.to_string().into(), Millis(at.0 - LOOK_BACK_MS).to_string().into()];
    let table = query_table(sources.warehouse.as_ref(), DLQ_BEFORE, &bounds)?;
    let Some(was) = table.first().map(|row| row.get::<f64>("open")).transpose()? else {
        return Ok(Vec::new());
    };
    let (open, _) = dlq_counts(sources)?;
    let mut context = newest_causes_when(sources, open > was, measure, now)?;
    if let Some(fields) = context.as_object_mut() {
        fields.insert("open".to_owned(), json!(open));
    }
    Ok(single(open - was, context))
}

/// The three causes with most open errors: `{"causes": [{fingerprint, message, open, stage}]}`.
fn causes_when(sources: &Sources, is_bad: bool) -> Result<Json, WarehouseError> {
    if !is_bad {
        return Ok(Json::Null);
    }
    causes(sources, DLQ_CAUSES, &[], "open")
}

/// The same of those that got most errors since the window began, to the hour: what was open before is
/// not what has changed.
fn newest_causes_when(
    sources: &Sources,
    is_bad: bool,
    measure: &Measure,
    now: Millis,
) -> Result<Json, WarehouseError> {
    if !is_bad {
        return Ok(Json::Null);
    }
    let since = before(measure, now).floor_hour();
    causes(sources, DLQ_NEWEST_CAUSES, &[since.to_string().into()], "open")
}

/// The causes that a statement gives; `counted` says which of their errors it counts.
fn causes(sources: &Sources, sql: &str, params: &[Value], counted: &str) -> Result<Json, WarehouseError> {
    let table = query_table(sources.warehouse.as_ref(), sql, params)?;
    let cause = |row: Row<'_>| {
        Ok::<Json, WarehouseError>(json!({
            "fingerprint": row.get::<&str>("fingerprint")?,
            "message": row.get::<&str>("message")?,
            counted: row.get::<u64>("errors")?,
            "stage": row.get::<&str>("stage")?,
        }))
    };
    Ok(json!({ "causes": table.iter().map(cause).collect::<Result<Vec<_>, _>>()? }))
}

fn before(measure: &Measure, now: Millis) -> Millis {
    Millis(now.0 - measure.window.as_millis() as i64)
}
