//! The account of the stream's commits over a window.
//!
//! A window of six hours may have some hundred thousand commits, and is measured every 15 s. So
//! what is two minutes old, and does not change any more, is summed once, by the minute; only the
//! newest commits are read each time.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use adpipe_event::Millis;
use adpipe_sql::section;
use adpipe_warehouse::{LatencyCounts, Value, Warehouse, WarehouseError, for_each_row};

const SQL: &str = include_str!("../../sql/figures.sql");
const COMMITS: &str = section(SQL, "commits");
const LATENCIES: &str = section(SQL, "latencies");

/// Windows up to this are summed from the commits themselves, to the millisecond.
const EXACT: Duration = Duration::from_secs(15 * 60);

/// A transaction takes its moment before it commits, and may take this long to do so.
const SETTLED_MS: i64 = 120_000;

/// Minutes that are kept.
const KEPT_MS: i64 = 25 * 3_600_000;

/// Records of some commits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    /// All of them.
    pub records: u64,
    /// Counted for the first time.
    pub valid: u64,
    /// In error.
    pub invalid: u64,
}

impl Sums {
    fn add(&mut self, other: Sums) {
        self.records += other.records;
        self.valid += other.valid;
        self.invalid += other.invalid;
    }

    /// Share of invalid records among valid and invalid ones.
    pub fn error_share(&self) -> Option<f64> {
        let judged = self.judged();
        (judged > 0).then(|| self.invalid as f64 / judged as f64)
    }

    /// Valid and invalid ones.
    pub fn judged(&self) -> u64 {
        self.valid + self.invalid
    }
}

/// Sums by the minute, from one minute to another without a gap.
#[derive(Debug, Default)]
struct SummedMinutes {
    from: i64,
    until: i64,
    minutes: BTreeMap<i64, Sums>,
}

/// What was summed before.
#[derive(Debug, Default)]
pub(crate) struct MinuteSums(Mutex<SummedMinutes>);

impl MinuteSums {
    /// The sums of a window that ends now. A long one begins with a whole minute.
    pub fn over(
        &self,
        warehouse: &dyn Warehouse,
        window: Duration,
        now: Millis,
    ) -> Result<Sums, WarehouseError> {
        let since = now.0 - window.as_millis() as i64;
        if window <= EXACT {
            let mut sums = Sums::default();
            each(warehouse, since, now.0, |_, more| sums.add(more))?;
            return Ok(sums);
        }
        let since = Millis(since).floor_minute().0;
        let settled = Millis(now.0 - SETTLED_MS).floor_minute().0;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.until == 0 || since < known.from || since > known.until || settled < known.until {
            *known = SummedMinutes { from: since, until: since, minutes: BTreeMap::new() };
        }
        if settled > known.until {
            let mut minutes: BTreeMap<i64, Sums> = BTreeMap::new();
            // Here a bound belongs to the values after it; in the statement it is the other way round.
            each(warehouse, known.until - 1, settled - 1, |at, more| {
                minutes.entry(Millis(at).floor_minute().0).or_default().add(more);
            })?;
            known.minutes.extend(minutes);
            known.until = settled;
        }
        let oldest = (now.0 - KEPT_MS).max(known.from);
        known.minutes = known.minutes.split_off(&oldest);
        known.from = oldest;
        let mut sums = Sums::default();
        known.minutes.range(since..).for_each(|(_, more)| sums.add(*more));
        each(warehouse, settled - 1, now.0, |_, more| sums.add(more))?;
        Ok(sums)
    }
}

fn each(
    warehouse: &dyn Warehouse,
    after: i64,
    until: i64,
    mut take: impl FnMut(i64, Sums),
) -> Result<(), WarehouseError> {
    let bounds = [Value::Text(Millis(after).to_string()), Value::Text(Millis(until).to_string())];
    for_each_row(warehouse, COMMITS, &bounds, |row| {
        let at: Millis = row.get("committed_at")?;
        let sums =
            Sums { records: row.get("records")?, valid: row.get("valid")?, invalid: row.get("invalid")? };
        take(at.0, sums);
        Ok(())
    })
}

/// The latencies of the records committed within a window.
pub(crate) fn latencies(
    warehouse: &dyn Warehouse,
    window: Duration,
    now: Millis,
) -> Result<LatencyCounts, WarehouseError> {
    let after = Millis(now.0 - window.as_millis() as i64);
    let bounds = [Value::Text(after.to_string()), Value::Text(now.to_string())];
    let mut latencies = LatencyCounts::default();
    for_each_row(warehouse, LATENCIES, &bounds, |row| latencies.add_text(row.get("latency_counts")?))?;
    Ok(latencies)
}
