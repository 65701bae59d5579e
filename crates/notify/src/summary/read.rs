//! Reads a day's figures from the warehouse, all at one moment.

use std::collections::BTreeMap;

use adpipe_event::Millis;
use adpipe_sql::section;
use adpipe_warehouse::{
    FromRow, LatencyCounts, Row, Value, Warehouse, WarehouseError, WarehouseRead, for_each_row, query_as,
    query_table,
};
use jiff::ToSpan;
use jiff::civil::{Date, Time};

use super::{AlertCount, DayFigures, DlqFigures, HourFigures, PeakHour, SlowestHour, Summary, TrendDay};
use crate::error::NotifyError;
use crate::time::Zone;

const SUMMARY_SQL: &str = include_str!("../../sql/summary.sql");
const HOURS: &str = section(SUMMARY_SQL, "hours");
const ERRORS_BY_TYPE: &str = section(SUMMARY_SQL, "errors_by_type");
const DLQ_NOW: &str = section(SUMMARY_SQL, "dlq_now");
const DLQ_CLOSED: &str = section(SUMMARY_SQL, "dlq_closed");
const DAG_RUNS: &str = section(SUMMARY_SQL, "dag_runs");
const DATA_TESTS: &str = section(SUMMARY_SQL, "data_tests");
const LATENCIES: &str = section(SUMMARY_SQL, "latencies");
const COMMITS: &str = section(SUMMARY_SQL, "commits");
const ALERTS: &str = section(SUMMARY_SQL, "alerts");

const HOUR_MS: i64 = 3_600_000;

/// Days of the trend.
const TREND_DAYS: i64 = 7;

/// The figures of a day in a time zone. Hours count to the day in which they begin; in zones that
/// are not whole hours from UTC, that is half an hour off.
///
/// # Errors
/// Failures of the warehouse.
pub fn read(warehouse: &dyn Warehouse, day: Date, zone: &Zone) -> Result<Summary, NotifyError> {
    let snapshot = warehouse.snapshot()?;
    let warehouse = snapshot.as_ref();
    let begin = |days_before: i64| {
        let date = day.checked_sub(days_before.days())?;
        zone.moment(date, Time::midnight()).map(|moment| (date, moment))
    };
    let (_, from) = begin(0)?;
    let (_, until) = begin(-1)?;
    let range: [Value; 2] = [from.to_string().into(), until.to_string().into()];
    let by_hour = hours(warehouse, begin(TREND_DAYS)?.1, until)?;
    let between = |since: Millis, until: Millis| {
        let mut sum = DayFigures::default();
        by_hour.range(since..until).for_each(|(_, figures)| sum.add(*figures));
        sum
    };
    let mut days = Vec::new();
    for before in (0..TREND_DAYS).rev() {
        let ((date, first), (_, last)) = (begin(before)?, begin(before - 1)?);
        days.push(TrendDay { day: date.to_string(), figures: between(first, last) });
    }
    let (runs, failed_dags) = dag_runs(warehouse, &range)?;
    let (data_tests, failing_tests) = data_tests(warehouse, until)?;
    let hours = hours_of(zone, from, until, &by_hour);
    Ok(Summary {
        day: day.to_string(),
        time_zone: zone.name().to_owned(),
        from: from.to_string(),
        until: until.to_string(),
        day_figures: between(from, until),
        day_before: between(begin(1)?.1, from),
        week_before: between(begin(7)?.1, begin(6)?.1),
        errors_by_type: counts(warehouse, ERRORS_BY_TYPE, &range)?,
        dlq: dlq(warehouse, &range)?,
        dag_runs: runs,
        failed_dags,
        data_tests,
        failing_tests,
        slowest_hour: slowest_hour(warehouse, &range, zone)?,
        peak_hour: peak(&hours),
        hours,
        days,
        alerts: alerts(warehouse, &range)?,
    })
}

/// What a statement counts, by name.
fn counts(
    warehouse: &dyn WarehouseRead,
    sql: &str,
    params: &[Value],
) -> Result<BTreeMap<String, u64>, NotifyError> {
    let table = query_table(warehouse, sql, params)?;
    table.iter().map(|row| Ok((row.get("name")?, row.get("errors")?))).collect()
}

fn hours(
    warehouse: &dyn WarehouseRead,
    since: Millis,
    until: Millis,
) -> Result<BTreeMap<Millis, DayFigures>, NotifyError> {
    let table = query_table(warehouse, HOURS, &[since.to_string().into(), until.to_string().into()])?;
    let hour = |row: Row<'_>| {
        let at = row.get("window_start")?;
        Ok((at, DayFigures { events: row.get("events")?, clicks: row.get("clicks")? }))
    };
    table.iter().map(hour).collect()
}

fn hour_name(zone: &Zone, at: Millis) -> String {
    zone.local(at).strftime("%H:%M").to_string()
}

/// Every hour that begins on the day: 23 to 25 of them.
fn hours_of(
    zone: &Zone,
    from: Millis,
    until: Millis,
    by_hour: &BTreeMap<Millis, DayFigures>,
) -> Vec<HourFigures> {
    let mut hours = Vec::new();
    let mut at = from.floor_hour();
    if at < from {
        at = Millis(at.0 + HOUR_MS);
    }
    while at < until {
        hours.push(HourFigures {
            hour: hour_name(zone, at),
            starts_at: at.to_string(),
            figures: by_hour.get(&at).copied().unwrap_or_default(),
        });
        at = Millis(at.0 + HOUR_MS);
    }
    hours
}

/// The first of the hours with most events.
fn peak(hours: &[HourFigures]) -> Option<PeakHour> {
    let most = hours.iter().map(|hour| hour.figures.events).max().filter(|most| *most > 0)?;
    let hour = hours.iter().find(|hour| hour.figures.events == most)?;
    Some(PeakHour { hour: hour.hour.clone(), events: most })
}

fn dlq(warehouse: &dyn WarehouseRead, range: &[Value]) -> Result<DlqFigures, NotifyError> {
    let now = query_table(warehouse, DLQ_NOW, &[])?;
    let closed = counts(warehouse, DLQ_CLOSED, range)?;
    let of = |status: &str| closed.get(status).copied().unwrap_or_default();
    let now = now.one()?;
    let (open, exhausted) = (now.get("open")?, now.get("exhausted")?);
    Ok(DlqFigures { open, exhausted, resolved: of("resolved"), discarded: of("discarded") })
}

type Named = (BTreeMap<String, u64>, Vec<String>);

fn dag_runs(warehouse: &dyn WarehouseRead, range: &[Value]) -> Result<Named, NotifyError> {
    let (mut runs, mut failed) = (BTreeMap::new(), Vec::new());
    for row in query_table(warehouse, DAG_RUNS, range)?.iter() {
        let (dag, state): (String, String) = (row.get("dag_id")?, row.get("state")?);
        if state == "failed" {
            failed.push(dag);
        }
        *runs.entry(state).or_default() += row.get::<u64>("runs")?;
    }
    Ok((runs, failed))
}

fn data_tests(warehouse: &dyn WarehouseRead, until: Millis) -> Result<Named, NotifyError> {
    let (mut statuses, mut failing) = (BTreeMap::new(), Vec::new());
    for row in query_table(warehouse, DATA_TESTS, &[until.to_string().into()])?.iter() {
        let (name, status): (String, String) = (row.get("name")?, row.get("status")?);
        if matches!(status.as_str(), "fail" | "error") {
            failing.push(name);
        }
        *statuses.entry(status).or_default() += 1;
    }
    Ok((statuses, failing))
}

/// From what the monitor measured, each hour by the mean of its 95th percentiles; without a
/// monitor from the commits, of which those older than a day have no latencies any more.
fn slowest_hour(
    warehouse: &dyn WarehouseRead,
    range: &[Value],
    zone: &Zone,
) -> Result<Option<SlowestHour>, NotifyError> {
    let mut measured: BTreeMap<Millis, (f64, u32)> = BTreeMap::new();
    for row in query_table(warehouse, LATENCIES, range)?.iter() {
        let at: Millis = row.get("at")?;
        let (sum, number) = measured.entry(at.floor_hour()).or_default();
        *sum += row.get::<f64>("value")?;
        *number += 1;
    }
    let mut hours: Vec<(Millis, f64)> =
        measured.into_iter().map(|(hour, (sum, number))| (hour, sum / f64::from(number))).collect();
    if hours.is_empty() {
        let mut counts: BTreeMap<Millis, LatencyCounts> = BTreeMap::new();
        for_each_row(warehouse, COMMITS, range, |row| {
            let of_hour = counts.entry(row.get::<Millis>("committed_at")?.floor_hour()).or_default();
            of_hour.add_text(row.get("latency_counts")?)
        })?;
        let seconds =
            |(hour, counts): (Millis, LatencyCounts)| counts.quantile_ms(0.95).map(|ms| (hour, ms / 1_000.0));
        hours = counts.into_iter().filter_map(seconds).collect();
    }
    let slowest = hours.into_iter().reduce(|most, hour| if hour.1 > most.1 { hour } else { most });
    Ok(slowest.map(|(at, p95_seconds)| SlowestHour { hour: hour_name(zone, at), p95_seconds }))
}

fn alerts(warehouse: &dyn WarehouseRead, range: &[Value]) -> Result<Vec<AlertCount>, NotifyError> {
    Ok(query_as(warehouse, ALERTS, range)?)
}

impl FromRow for AlertCount {
    fn from_row(row: &Row<'_>) -> Result<AlertCount, WarehouseError> {
        Ok(AlertCount { rule: row.get("rule")?, times: row.get("times")?, firing: row.get("firing")? })
    }
}
