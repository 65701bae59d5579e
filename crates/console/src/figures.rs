//! The figures of the console as they are sent to the page.

use adpipe_event::{ErrorType, Millis};
use adpipe_warehouse::report::{self, Ctr, Grain, Group, TrendPoint};
use adpipe_warehouse::{Counts, Warehouse, WarehouseError};
use serde::Serialize;

/// A span of event time that the page can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Range {
    Hour,
    Day,
    Week,
    Month,
}

impl Range {
    pub const ALL: [Range; 4] = [Range::Hour, Range::Day, Range::Week, Range::Month];

    /// As it stands in addresses.
    pub fn name(self) -> &'static str {
        match self {
            Range::Hour => "1h",
            Range::Day => "24h",
            Range::Week => "7d",
            Range::Month => "30d",
        }
    }

    pub fn from_name(name: &str) -> Option<Range> {
        Range::ALL.into_iter().find(|range| range.name() == name)
    }

    /// The table that answers, the span and the step of its points, in minutes.
    fn shape(self) -> (Grain, i64, i64) {
        match self {
            Range::Hour => (Grain::Minute, 60, 1),
            Range::Day => (Grain::Minute, 24 * 60, 15),
            Range::Week => (Grain::Hour, 7 * 24 * 60, 60),
            Range::Month => (Grain::Hour, 30 * 24 * 60, 6 * 60),
        }
    }
}

/// Impressions, clicks and what follows from them.
#[derive(Debug, Clone, Serialize, PartialEq)]
pub(crate) struct CtrFigures {
    pub impressions: u64,
    pub clicks: u64,
    /// Null without impressions.
    pub ctr: Option<f64>,
    /// Ends of the 95 % Wilson interval of the rate.
    pub low: Option<f64>,
    pub high: Option<f64>,
}

impl From<Ctr> for CtrFigures {
    fn from(ctr: Ctr) -> CtrFigures {
        let rate = ctr.rate();
        // Rounding can push an end of the interval past a rate of exactly 0 or 1.
        let interval = rate.zip(ctr.wilson_95()).map(|(rate, (low, high))| (low.min(rate), high.max(rate)));
        CtrFigures {
            impressions: ctr.impressions,
            clicks: ctr.clicks,
            ctr: rate,
            low: interval.map(|(low, _)| low),
            high: interval.map(|(_, high)| high),
        }
    }
}

/// A point of the trend.
#[derive(Debug, Clone, Serialize, PartialEq)]
pub(crate) struct Point {
    /// Start, ms since the Unix epoch.
    pub at: i64,
    #[serde(flatten)]
    pub figures: CtrFigures,
}

/// A device type or banner position.
#[derive(Debug, Clone, Serialize, PartialEq)]
pub(crate) struct Bar {
    pub code: i64,
    #[serde(flatten)]
    pub figures: CtrFigures,
}

/// CTR over a range of event time.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct CtrReport {
    /// The range's name.
    pub range: &'static str,
    /// First and last moment of the range, ms; null when there is no event.
    pub from: Option<i64>,
    pub to: Option<i64>,
    /// Length of a point, ms.
    pub step: i64,
    pub trend: Vec<Point>,
    pub by_device: Vec<Bar>,
    pub by_banner: Vec<Bar>,
}

/// Figures of a range that ends at the newest event, not at the clock: data of 2014 is looked
/// at just as data of today.
pub(crate) fn ctr_report(warehouse: &dyn Warehouse, range: Range) -> Result<CtrReport, WarehouseError> {
    const MINUTE: i64 = 60_000;
    let (grain, span_minutes, step_minutes) = range.shape();
    let (span, step) = (span_minutes * MINUTE, step_minutes * MINUTE);
    let newest = match grain {
        Grain::Minute => warehouse.newest_minute()?.map(|minute| minute.0 + MINUTE),
        Grain::Hour => report::newest_hour(warehouse)?.map(|hour| hour.0 + 60 * MINUTE),
    };
    let mut ctr_report = CtrReport {
        range: range.name(),
        from: None,
        to: newest,
        step,
        trend: Vec::new(),
        by_device: Vec::new(),
        by_banner: Vec::new(),
    };
    let Some(newest) = newest else { return Ok(ctr_report) };
    // The first point is a whole one, so that it does not look like a change.
    let since = Millis((newest - span).div_euclid(step) * step);
    ctr_report.from = Some(since.0);
    ctr_report.trend = in_steps(&report::trend(warehouse, grain, since)?, step);
    ctr_report.by_device = bars(report::by_device(warehouse, grain, since)?);
    ctr_report.by_banner = bars(report::by_banner(warehouse, grain, since)?);
    Ok(ctr_report)
}

/// Adds up windows, which come in order of time, to points of `step` ms.
fn in_steps(windows: &[TrendPoint], step: i64) -> Vec<Point> {
    let mut sums: Vec<(i64, Ctr)> = Vec::new();
    for window in windows {
        let at = window.window_start.0.div_euclid(step) * step;
        match sums.last_mut() {
            Some((last, sum)) if *last == at => {
                sum.impressions += window.ctr.impressions;
                sum.clicks += window.ctr.clicks;
            }
            _ => sums.push((at, window.ctr)),
        }
    }
    sums.into_iter().map(|(at, ctr)| Point { at, figures: ctr.into() }).collect()
}

fn bars(groups: Vec<Group>) -> Vec<Bar> {
    groups.into_iter().map(|group| Bar { code: group.code, figures: group.ctr.into() }).collect()
}

/// The account of everything.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Totals {
    pub records: u64,
    pub valid: u64,
    pub clicks: u64,
    pub ctr: Option<f64>,
    pub duplicates: u64,
    pub invalid: u64,
    pub invalid_by_type: Vec<(&'static str, u64)>,
    pub late: u64,
}

impl From<Counts> for Totals {
    fn from(counts: Counts) -> Totals {
        let by_type = ErrorType::ALL.iter().zip(counts.invalid_by_type);
        Totals {
            records: counts.records,
            valid: counts.valid,
            clicks: counts.clicks,
            ctr: Ctr { impressions: counts.valid, clicks: counts.clicks }.rate(),
            duplicates: counts.duplicates,
            invalid: counts.invalid(),
            invalid_by_type: by_type.map(|(error_type, count)| (error_type.as_str(), count)).collect(),
            late: counts.late,
        }
    }
}

/// What was committed lately.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Throughput {
    /// Start of the first point, ms.
    pub from: i64,
    /// Length of a point, ms.
    pub step: i64,
    /// Records a second, point by point; the last one is complete.
    pub per_second: Vec<f64>,
    /// Records a second over the last ten seconds.
    pub now: f64,
    /// Over the last minute; null when nothing was committed in it.
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    /// Invalid / (valid + invalid) over the last minute; null when there was neither.
    pub error_rate: Option<f64>,
}

/// Measures the five minutes before `now`.
pub(crate) fn throughput(warehouse: &dyn Warehouse, now: Millis) -> Result<Throughput, WarehouseError> {
    const STEP: i64 = 2_000;
    const SPAN: i64 = 300_000;
    const RECENT_STEPS: usize = 5;
    let first = Millis((now.0 - SPAN).div_euclid(STEP) * STEP);
    let mut points = report::live(warehouse, first, now, STEP)?;
    // The point that holds "now" is not over yet and would look like a drop.
    points.pop();
    let recent = &points[points.len().saturating_sub(RECENT_STEPS)..];
    let recent_records: u64 = recent.iter().map(|point| point.records).sum();
    let recent_seconds = (recent.len().max(1) as i64 * STEP) as f64 / 1_000.0;

    // One interval that is longer than any time since: its quantiles are of the whole minute.
    let minute_ago = Millis(now.0 - 60_000);
    let minute = report::live(warehouse, minute_ago, now, minute_ago.0)?.pop();
    let judged = minute.map_or(0, |minute| minute.valid + minute.invalid);
    Ok(Throughput {
        from: first.0,
        step: STEP,
        per_second: points.iter().map(|point| point.records as f64 * 1_000.0 / STEP as f64).collect(),
        now: recent_records as f64 / recent_seconds,
        p50_ms: minute.and_then(|minute| minute.p50_ms),
        p99_ms: minute.and_then(|minute| minute.p99_ms),
        error_rate: minute.filter(|_| judged > 0).map(|minute| minute.invalid as f64 / judged as f64),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_add_up_to_steps() {
        let window = |minute: i64, impressions, clicks| TrendPoint {
            window_start: Millis(minute * 60_000),
            ctr: Ctr { impressions, clicks },
        };
        let points =
            in_steps(&[window(14, 1, 0), window(15, 10, 1), window(29, 10, 3), window(60, 5, 5)], 900_000);
        let seen: Vec<_> = points.iter().map(|point| (point.at / 60_000, point.figures.ctr)).collect();
        assert_eq!(seen, [(0, Some(0.0)), (15, Some(0.2)), (60, Some(1.0))]);
    }

    #[test]
    fn ranges_are_found_by_name() {
        for range in Range::ALL {
            assert_eq!(Range::from_name(range.name()), Some(range));
        }
        assert_eq!(Range::from_name("2h"), None);
    }
}
