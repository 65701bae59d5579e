//! How latencies were distributed, minute by minute, for the heat map.
//!
//! The counts are in every commit, and a busy day has millions of these. So each minute is read
//! once and its sum kept in memory; a request reads what is new and, while a day is not complete,
//! some more of what is old, for a limited time.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use adpipe_event::Millis;
use adpipe_monitor::MonitorError;
use adpipe_sql::section;
use adpipe_warehouse::{LATENCY_BUCKETS_MS, LatencyCounts, Warehouse, for_each_row};
use serde::Serialize;

const SQL: &str = include_str!("../../sql/operations.sql");
const LATENCIES: &str = section(SQL, "latencies");

const MINUTE_MS: i64 = 60_000;

/// Minutes that are kept.
const KEPT_MS: i64 = 24 * 60 * MINUTE_MS;

/// Minutes whose commits may still come: a commit is sealed a while before it can be seen.
const OPEN_MS: i64 = 2 * MINUTE_MS;

/// What is read at once of the past, and for how long one request does so.
const PIECE_MS: i64 = 30 * MINUTE_MS;
const LONGEST_READ: Duration = Duration::from_millis(60);

#[derive(Default)]
pub(super) struct Latencies(Mutex<Read>);

#[derive(Default)]
struct Read {
    minutes: BTreeMap<i64, LatencyCounts>,
    /// From when to when everything is read, in whole minutes; none at first.
    known: Option<(i64, i64)>,
}

/// A column is a span of time, a cell the records whose latency was in a bucket.
#[derive(Debug, Serialize)]
pub(super) struct HeatMap {
    /// Upper edges of the buckets, ms; a last bucket has none.
    edges_ms: [i64; LATENCY_BUCKETS_MS.len()],
    /// Of a column, ms.
    step: i64,
    /// Start and counts by bucket; columns without records are missing.
    columns: Vec<(i64, Vec<u64>)>,
    /// False while the past is still being read.
    is_complete: bool,
}

impl Latencies {
    /// The map from `from` to `now`, with a column each `step` ms.
    pub fn heat_map(
        &self,
        warehouse: &dyn Warehouse,
        from: Millis,
        now: Millis,
        step: i64,
    ) -> Result<HeatMap, MonitorError> {
        let step = step.max(MINUTE_MS);
        // Nothing is left half-changed by a panic: minutes are whole or missing.
        let mut read = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        read.refresh(warehouse, now)?;
        let is_complete = read.reach(warehouse, from.0)?;
        let mut columns: BTreeMap<i64, LatencyCounts> = BTreeMap::new();
        for (minute, counts) in read.minutes.range(from.0..) {
            let column = columns.entry(minute.div_euclid(step) * step).or_default();
            for (sum, count) in column.0.iter_mut().zip(counts.0) {
                *sum += count;
            }
        }
        Ok(HeatMap {
            edges_ms: LATENCY_BUCKETS_MS,
            step,
            columns: columns.into_iter().map(|(at, counts)| (at, counts.0.to_vec())).collect(),
            is_complete,
        })
    }
}

impl Read {
    /// Reads what is new.
    fn refresh(&mut self, warehouse: &dyn Warehouse, now: Millis) -> Result<(), MonitorError> {
        let end = floor(now.0) + MINUTE_MS;
        let oldest = end - KEPT_MS;
        // What was not requested for long is read like the past, bit by bit.
        let (first, last) = self.known.filter(|(_, last)| end - last <= PIECE_MS).unwrap_or((end, end));
        let again = (last - OPEN_MS).max(first.min(end - OPEN_MS)).min(end);
        let newest = read_minutes(warehouse, again, end)?;
        self.minutes.retain(|minute, _| (first.max(oldest)..again).contains(minute));
        self.minutes.extend(newest);
        self.known = Some((first.min(again).max(oldest), end));
        Ok(())
    }

    /// Reads back to `from`, as far as it comes in time. True when it came there.
    fn reach(&mut self, warehouse: &dyn Warehouse, from: i64) -> Result<bool, MonitorError> {
        let (from, started) = (floor(from), Instant::now());
        while let Some((first, last)) = self.known {
            if first <= from {
                return Ok(true);
            }
            if started.elapsed() > LONGEST_READ {
                return Ok(false);
            }
            let before = (first - PIECE_MS).max(from);
            let older = read_minutes(warehouse, before, first)?;
            self.minutes.extend(older);
            self.known = Some((before, last));
        }
        Ok(false)
    }
}

fn floor(ms: i64) -> i64 {
    ms.div_euclid(MINUTE_MS) * MINUTE_MS
}

/// Sums by the minute of commits from `from` until before `until`.
fn read_minutes(
    warehouse: &dyn Warehouse,
    from: i64,
    until: i64,
) -> Result<BTreeMap<i64, LatencyCounts>, MonitorError> {
    let mut minutes: BTreeMap<i64, LatencyCounts> = BTreeMap::new();
    let params = [Millis(from).to_string().into(), Millis(until).to_string().into()];
    for_each_row(warehouse, LATENCIES, &params, |row| {
        let at: Millis = row.get("committed_at")?;
        minutes.entry(floor(at.0)).or_default().add_text(row.get("latency_counts")?)
    })?;
    Ok(minutes)
}
