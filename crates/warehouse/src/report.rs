//! The figures that people look at, typed.

use std::ops::Range;

use adpipe_event::Millis;
use adpipe_sql::section;

use crate::{
    Counts, FromRow, LatencyCounts, Row, Value, WarehouseError, WarehouseRead, for_each_row, query_as,
    query_table,
};

const REPORT_SQL: &str = include_str!("../sql/report/report.sql");
const TOTALS: &str = section(REPORT_SQL, "totals");
const COMMITS_SINCE: &str = section(REPORT_SQL, "commits_since");
const NEWEST_COMMIT: &str = section(REPORT_SQL, "newest_commit");
const SPANS: &str = section(REPORT_SQL, "spans");
const TREND_BY_MINUTE: &str = section(REPORT_SQL, "trend_by_minute");
const TREND_BY_HOUR: &str = section(REPORT_SQL, "trend_by_hour");
const MINUTES_BY_DEVICE: &str = section(REPORT_SQL, "minutes_by_device");
const MINUTES_BY_BANNER: &str = section(REPORT_SQL, "minutes_by_banner");
const HOURS_BY_DEVICE: &str = section(REPORT_SQL, "hours_by_device");
const HOURS_BY_BANNER: &str = section(REPORT_SQL, "hours_by_banner");

/// Impressions and clicks of something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ctr {
    /// Events.
    pub impressions: u64,
    /// Events that were clicked.
    pub clicks: u64,
}

impl Ctr {
    /// Clicks / impressions, in [0, 1]; none without impressions.
    pub fn rate(self) -> Option<f64> {
        (self.impressions > 0).then(|| self.clicks as f64 / self.impressions as f64)
    }

    /// The 95 % Wilson score interval of the rate, so that a small group is not read as a trend.
    /// Source: E. B. Wilson, "Probable inference, the law of succession, and statistical
    /// inference", JASA 22 (1927).
    pub fn wilson_95(self) -> Option<(f64, f64)> {
        const Z: f64 = 1.959_963_984_540_054;
        let rate = self.rate()?;
        let n = self.impressions as f64;
        let denominator = 1.0 + Z * Z / n;
        let centre = (rate + Z * Z / (2.0 * n)) / denominator;
        let half = Z * (rate * (1.0 - rate) / n + Z * Z / (4.0 * n * n)).sqrt() / denominator;
        Some(((centre - half).max(0.0), (centre + half).min(1.0)))
    }
}

/// A window's figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrendPoint {
    /// Start of the minute or hour.
    pub window_start: Millis,
    /// Impressions and clicks.
    pub ctr: Ctr,
}

/// A group's figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group {
    /// Device type or banner position.
    pub code: i64,
    /// Impressions and clicks.
    pub ctr: Ctr,
}

/// Which table answers: minutes for short ranges, hours for long ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grain {
    /// `realtime.metrics`, kept for some days.
    Minute,
    /// `realtime.metrics_hourly`, kept for good.
    Hour,
}

/// What was committed within a short time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LivePoint {
    /// Start of the interval.
    pub at: Millis,
    /// All records.
    pub records: u64,
    /// Events counted.
    pub valid: u64,
    /// Events counted before.
    pub duplicates: u64,
    /// Invalid records.
    pub invalid: u64,
    /// Half of the records took no longer, ms; none without records.
    pub p50_ms: Option<f64>,
    /// 99 % of the records took no longer, ms.
    pub p99_ms: Option<f64>,
}

impl FromRow for Ctr {
    fn from_row(row: &Row<'_>) -> Result<Ctr, WarehouseError> {
        Ok(Ctr { impressions: row.get("impressions")?, clicks: row.get("clicks")? })
    }
}

impl FromRow for TrendPoint {
    fn from_row(row: &Row<'_>) -> Result<TrendPoint, WarehouseError> {
        Ok(TrendPoint { window_start: row.get("window_start")?, ctr: Ctr::from_row(row)? })
    }
}

impl FromRow for Group {
    fn from_row(row: &Row<'_>) -> Result<Group, WarehouseError> {
        Ok(Group { code: row.get("code")?, ctr: Ctr::from_row(row)? })
    }
}

/// The account of everything ever counted, by the way it came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Records of the event log; a retry of the dead-letter queue is one, too.
    pub stream: Counts,
    /// Rows of raw files.
    pub files: Counts,
}

impl Totals {
    /// Both ways together: what the product calls its totals.
    pub fn all(&self) -> Counts {
        let mut all = self.stream;
        all.add(&self.files);
        all
    }
}

/// The one statement of totals: console, `verify` and Prometheus all show what it gives.
///
/// # Errors
/// Failures of the warehouse.
pub fn totals(warehouse: &dyn WarehouseRead) -> Result<Totals, WarehouseError> {
    let mut totals = Totals::default();
    for row in query_table(warehouse, TOTALS, &[])?.iter() {
        let way = if row.get::<&str>("way")? == "files" { &mut totals.files } else { &mut totals.stream };
        *way = Counts::from_row(&row)?;
    }
    Ok(totals)
}

/// What was committed from `since` to `until`, in intervals of `step_ms`; empty ones included.
pub fn live(
    warehouse: &dyn WarehouseRead,
    since: Millis,
    until: Millis,
    step_ms: i64,
) -> Result<Vec<LivePoint>, WarehouseError> {
    let step_ms = step_ms.max(1);
    let first = since.0.div_euclid(step_ms) * step_ms;
    let steps = ((until.0 - first).max(0) / step_ms + 1) as usize;
    let mut points: Vec<LivePoint> = (0..steps)
        .map(|step| LivePoint {
            at: Millis(first + step as i64 * step_ms),
            records: 0,
            valid: 0,
            duplicates: 0,
            invalid: 0,
            p50_ms: None,
            p99_ms: None,
        })
        .collect();
    let mut latencies = vec![LatencyCounts::default(); steps];
    let since_text = Value::Text(Millis(first).to_string());
    for_each_row(warehouse, COMMITS_SINCE, &[since_text], |row| {
        let step = (row.get::<Millis>("committed_at")?.0 - first) / step_ms;
        let Ok(step) = usize::try_from(step) else { return Ok(()) };
        let Some((point, latency)) = points.get_mut(step).zip(latencies.get_mut(step)) else { return Ok(()) };
        point.records += row.get::<u64>("records")?;
        point.valid += row.get::<u64>("valid")?;
        point.duplicates += row.get::<u64>("duplicates")?;
        point.invalid += row.get::<u64>("invalid")?;
        latency.add_text(row.get("latency_counts")?)
    })?;
    for (point, latency) in points.iter_mut().zip(&latencies) {
        point.p50_ms = latency.quantile_ms(0.5);
        point.p99_ms = latency.quantile_ms(0.99);
    }
    Ok(points)
}

/// When the stream processor last committed; none when it never did.
pub fn newest_commit(warehouse: &dyn WarehouseRead) -> Result<Option<Millis>, WarehouseError> {
    query_table(warehouse, NEWEST_COMMIT, &[])?.one()?.get("newest")
}

/// The first and the last window of a grain that has figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// Start of the oldest.
    pub oldest: Millis,
    /// Start of the newest.
    pub newest: Millis,
}

/// What there are figures of, by minutes and by hours; none where there are none.
pub fn spans(warehouse: &dyn WarehouseRead) -> Result<(Option<Windows>, Option<Windows>), WarehouseError> {
    let table = query_table(warehouse, SPANS, &[])?;
    let row = table.one()?;
    let windows = |oldest, newest| -> Result<Option<Windows>, WarehouseError> {
        let bounds = row.get::<Option<Millis>>(oldest)?.zip(row.get::<Option<Millis>>(newest)?);
        Ok(bounds.map(|(oldest, newest)| Windows { oldest, newest }))
    };
    Ok((windows("oldest_minute", "newest_minute")?, windows("oldest_hour", "newest_hour")?))
}

/// Figures by window over a span of event time; windows without events are not there.
pub fn trend(
    warehouse: &dyn WarehouseRead,
    grain: Grain,
    span: Range<Millis>,
) -> Result<Vec<TrendPoint>, WarehouseError> {
    let sql = match grain {
        Grain::Minute => TREND_BY_MINUTE,
        Grain::Hour => TREND_BY_HOUR,
    };
    query_as(warehouse, sql, &bounds(&span))
}

/// Figures by device type over a span of event time.
pub fn by_device(
    warehouse: &dyn WarehouseRead,
    grain: Grain,
    span: Range<Millis>,
) -> Result<Vec<Group>, WarehouseError> {
    groups(warehouse, if grain == Grain::Minute { MINUTES_BY_DEVICE } else { HOURS_BY_DEVICE }, &span)
}

/// Figures by banner position over a span of event time.
pub fn by_banner(
    warehouse: &dyn WarehouseRead,
    grain: Grain,
    span: Range<Millis>,
) -> Result<Vec<Group>, WarehouseError> {
    groups(warehouse, if grain == Grain::Minute { MINUTES_BY_BANNER } else { HOURS_BY_BANNER }, &span)
}

fn groups(
    warehouse: &dyn WarehouseRead,
    sql: &str,
    span: &Range<Millis>,
) -> Result<Vec<Group>, WarehouseError> {
    query_as(warehouse, sql, &bounds(span))
}

fn bounds(span: &Range<Millis>) -> [Value; 2] {
    [span.start, span.end].map(|at| Value::Text(at.to_string()))
}

#[cfg(test)]
mod tests {
    use super::Ctr;

    #[test]
    fn wilson_interval_as_published() {
        // 10 of 50: 0.1124 to 0.3304 (Newcombe 1998, method 3).
        let (low, high) = Ctr { impressions: 50, clicks: 10 }.wilson_95().unwrap();
        assert!((low - 0.1124).abs() < 5e-5 && (high - 0.3304).abs() < 5e-5, "{low} {high}");
        assert_eq!(Ctr::default().wilson_95(), None);
        let (low, _) = Ctr { impressions: 3, clicks: 0 }.wilson_95().unwrap();
        assert!(low.abs() < 1e-12, "{low}");
    }
}
