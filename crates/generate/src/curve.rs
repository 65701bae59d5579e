//! When events happen: a smooth daily curve of traffic, and rows spread along it.
//!
//! The curve is a weight for each minute of the day. Its running total over all time is a scale
//! of "traffic since 1970" that can be inverted exactly in integers: equal steps of traffic give
//! many events in a busy hour and few in a quiet one.

use crate::chance::Chance;
use crate::text::{DAY_MS, MINUTE_MS};

const MINUTES: usize = 24 * 60;

/// Traffic at each full hour UTC; between two hours it changes in a straight line.
const HOURLY: [u64; 24] =
    [42, 36, 31, 28, 26, 29, 36, 48, 60, 70, 79, 87, 94, 100, 98, 96, 95, 96, 98, 99, 93, 80, 65, 52];

/// The daily curve.
#[derive(Debug, Clone)]
pub(crate) struct Curve {
    /// Traffic before each minute of the day; one more for the whole day.
    before: Vec<u64>,
}

impl Curve {
    pub(crate) fn new() -> Self {
        let mut before = Vec::with_capacity(MINUTES + 1);
        let mut sum = 0;
        before.push(sum);
        for minute in 0..MINUTES {
            sum += minute_weight(minute) * MINUTE_MS as u64;
            before.push(sum);
        }
        Self { before }
    }

    fn day_total(&self) -> u64 {
        self.before[MINUTES]
    }

    /// Traffic from 1970 to `time_ms`. Up to the year 2100 that is below 2^59.
    fn traffic_at(&self, time_ms: i64) -> u64 {
        let time = time_ms.max(0) as u64;
        let (day, in_day) = (time / DAY_MS as u64, time % DAY_MS as u64);
        let minute = (in_day / MINUTE_MS as u64) as usize;
        let in_minute = in_day % MINUTE_MS as u64;
        day * self.day_total() + self.before[minute] + in_minute * minute_weight(minute)
    }

    /// The time at which `traffic` is reached: the inverse of [`Curve::traffic_at`], rounded
    /// down to the millisecond.
    fn time_at(&self, traffic: u64) -> i64 {
        let (day, in_day) = (traffic / self.day_total(), traffic % self.day_total());
        let minute = self.before.partition_point(|&before| before <= in_day) - 1;
        let in_minute = (in_day - self.before[minute]) / minute_weight(minute);
        day as i64 * DAY_MS + minute as i64 * MINUTE_MS + in_minute as i64
    }
}

/// Traffic per millisecond in a minute of the day, in sixtieths of [`HOURLY`].
fn minute_weight(minute: usize) -> u64 {
    let (hour, past) = (minute / 60, minute as u64 % 60);
    HOURLY[hour] * (60 - past) + HOURLY[(hour + 1) % 24] * past
}

/// Event times for rows over a range.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    curve: Curve,
    /// Traffic at the start of the range.
    start: u64,
    /// Traffic within the range.
    span: u64,
    rows: Option<u64>,
    /// Rows given a time so far.
    row: u64,
    /// Where the next row's share of the span begins.
    share_start: u64,
}

impl Schedule {
    /// `rows` times over `start_ms..end_ms`, or endlessly many.
    pub(crate) fn new(start_ms: i64, end_ms: i64, rows: Option<u64>) -> Self {
        let curve = Curve::new();
        let start = curve.traffic_at(start_ms);
        let span = curve.traffic_at(end_ms) - start;
        Self { curve, start, span, rows, row: 0, share_start: 0 }
    }

    /// The next event time: later than or equal to the one before if the rows are counted, any
    /// time of the range if not. `None` when all rows have had theirs.
    pub(crate) fn next_ms(&mut self, chance: &mut Chance) -> Option<i64> {
        let random = u128::from(chance.bits());
        let Some(rows) = self.rows else {
            let reached = ((u128::from(self.span) * random) >> 64) as u64;
            return Some(self.curve.time_at(self.start + reached));
        };
        if self.row == rows {
            return None;
        }
        // Each row falls at random into its own equal share of the traffic.
        self.row += 1;
        let share_end = (u128::from(self.span) * u128::from(self.row) / u128::from(rows)) as u64;
        let share = share_end - self.share_start;
        let reached = self.share_start + ((u128::from(share) * random) >> 64) as u64;
        self.share_start = share_end;
        Some(self.curve.time_at(self.start + reached))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::HOUR_MS;

    const START_MS: i64 = 1_413_849_600_000;

    #[test]
    fn time_is_the_inverse_of_traffic() {
        let curve = Curve::new();
        for step in 0..100_000 {
            let time_ms = START_MS + step * 12_345;
            let traffic = curve.traffic_at(time_ms);
            assert_eq!(curve.time_at(traffic), time_ms);
            assert_eq!(curve.time_at(traffic - 1), time_ms - 1);
        }
    }

    #[test]
    fn rows_are_in_order_and_in_range() {
        for (rows, length_ms) in [(1, 1), (1_000, 10), (10_000, 3 * DAY_MS), (7, HOUR_MS)] {
            let end_ms = START_MS + length_ms;
            let mut schedule = Schedule::new(START_MS, end_ms, Some(rows));
            let mut chance = Chance::new(9);
            let mut last_ms = START_MS;
            for _ in 0..rows {
                let time_ms = schedule.next_ms(&mut chance).unwrap();
                assert!(last_ms <= time_ms && time_ms < end_ms);
                last_ms = time_ms;
            }
            assert_eq!(schedule.next_ms(&mut chance), None);
        }
    }

    #[test]
    fn endless_rows_stay_in_range() {
        let end_ms = START_MS + 90_000;
        let mut schedule = Schedule::new(START_MS, end_ms, None);
        let mut chance = Chance::new(9);
        for _ in 0..10_000 {
            let time_ms = schedule.next_ms(&mut chance).unwrap();
            assert!((START_MS..end_ms).contains(&time_ms));
        }
    }

    #[test]
    fn day_is_low_at_four_and_high_in_the_afternoon() {
        let mut schedule = Schedule::new(START_MS, START_MS + 2 * DAY_MS, Some(200_000));
        let mut chance = Chance::new(9);
        let mut hours = [0_u32; 24];
        while let Some(time_ms) = schedule.next_ms(&mut chance) {
            hours[(time_ms % DAY_MS / HOUR_MS) as usize] += 1;
        }
        let lowest = hours.iter().min().unwrap();
        assert_eq!(hours[4].min(hours[3]), *lowest);
        assert!(hours[13..20].iter().all(|&busy| busy > 3 * lowest));
        for hour in 0..24 {
            let (this, next) = (hours[hour], hours[(hour + 1) % 24]);
            assert!(this.abs_diff(next) < this.max(next) * 3 / 10, "not smooth: {hours:?}");
        }
    }
}
