//! The figures of the console as they are sent to the page.

use adpipe_event::{ErrorType, Millis};
use adpipe_warehouse::report::{self, Ctr, Grain, Group, TrendPoint, Windows};
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

    /// As written in addresses.
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
    /// Its time is not over: more events of it will come, or it is cut by the end of the range.
    pub is_partial: bool,
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
    pub range: &'static str,
    /// Start and end of all figures in ms; null if there are no events.
    pub oldest: Option<i64>,
    pub newest: Option<i64>,
    /// Start and end of the range in ms; null if there are no events.
    pub from: Option<i64>,
    pub to: Option<i64>,
    /// Length of a point, ms.
    pub step: i64,
    pub trend: Vec<Point>,
    pub by_device: Vec<Bar>,
    pub by_banner: Vec<Bar>,
}

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

/// Figures of a range that ends at `until`, or else at the newest event and not at the clock: data
/// of 2014 is looked at just as data of today. Where the minutes are gone, the hours answer.
pub(crate) fn ctr_report(
    warehouse: &dyn Warehouse,
    range: Range,
    until: Option<Millis>,
    now: Millis,
) -> Result<CtrReport, WarehouseError> {
    let (minutes, hours) = report::spans(warehouse)?;
    let (grain, span_minutes, step_minutes) = range.shape();
    let span = span_minutes * MINUTE;
    let ends = [minutes.map(|all| all.newest.0 + MINUTE), hours.map(|all| all.newest.0 + HOUR)];
    let starts = [minutes, hours].map(|all| all.map(|all| all.oldest.0));
    let (grain, step) = match (grain, minutes) {
        (Grain::Hour, _) => (Grain::Hour, step_minutes * MINUTE),
        (Grain::Minute, Some(kept)) if has_minutes(warehouse, kept, until, span)? => {
            (Grain::Minute, step_minutes * MINUTE)
        }
        (Grain::Minute, _) => (Grain::Hour, HOUR),
    };
    let newest = if grain == Grain::Minute { ends[0] } else { ends[1] };
    let end = until.map(|until| until.0).or(newest);
    let mut ctr_report = CtrReport {
        range: range.name(),
        oldest: starts.into_iter().flatten().min(),
        // An hour's end is not known to the minute.
        newest: ends[0].into_iter().chain(ends[1].filter(|_| ends[0].is_none())).max(),
        from: None,
        to: end,
        step,
        trend: Vec::new(),
        by_device: Vec::new(),
        by_banner: Vec::new(),
    };
    let Some(end) = end else { return Ok(ctr_report) };
    // The first point is a whole one, so that it does not look like a change.
    let since = Millis((end - span).div_euclid(step) * step);
    let over = || since..Millis(end);
    ctr_report.from = Some(since.0);
    ctr_report.trend = in_steps(&report::trend(warehouse, grain, over())?, step, end.min(now.0));
    ctr_report.by_device = bars(report::by_device(warehouse, grain, over())?);
    ctr_report.by_banner = bars(report::by_banner(warehouse, grain, over())?);
    Ok(ctr_report)
}

/// Whether the minutes that are kept are all that there is of a span: older ones are gone, but their
/// hours are there for good.
fn has_minutes(
    warehouse: &dyn Warehouse,
    kept: Windows,
    until: Option<Millis>,
    span: i64,
) -> Result<bool, WarehouseError> {
    let end = until.map_or(kept.newest.0 + MINUTE, |until| until.0);
    let (since, first) = (Millis(end - span).floor_hour(), kept.oldest.floor_hour());
    Ok(end > kept.oldest.0
        && (since >= first || report::trend(warehouse, Grain::Hour, since..first)?.is_empty()))
}

/// Adds up windows, which come in order of time, to points of `step` ms. What ends after `whole`
/// is not whole yet.
fn in_steps(windows: &[TrendPoint], step: i64, whole: i64) -> Vec<Point> {
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
    let point = |(at, ctr): (i64, Ctr)| Point { at, is_partial: at + step > whole, figures: ctr.into() };
    sums.into_iter().map(point).collect()
}

fn bars(groups: Vec<Group>) -> Vec<Bar> {
    groups.into_iter().map(|group| Bar { code: group.code, figures: group.ctr.into() }).collect()
}

/// The account of everything, whichever way it came.
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
        let points = in_steps(
            &[window(14, 1, 0), window(15, 10, 1), window(29, 10, 3), window(60, 5, 5)],
            900_000,
            61 * MINUTE,
        );
        assert_eq!(points.iter().map(|point| point.is_partial).collect::<Vec<_>>(), [false, false, true]);
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
