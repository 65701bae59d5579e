//! Which data intervals are to be run now. Nothing here knows a database.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::cron::Cron;

/// Intervals that one look may find: a clock that jumps a century ahead must not fill the table.
/// The next look continues from there.
const MAX_AT_ONCE: usize = 100;

/// A data interval, `start` up to and without `end`; it is due at `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interval {
    /// First moment.
    pub start: Timestamp,
    /// First moment after it.
    pub end: Timestamp,
}

impl Interval {
    /// The name of its slot.
    pub fn slot(&self) -> String {
        self.start.to_string()
    }
}

/// The intervals that are due at `now` and have ended after `after`, oldest first: all of them when
/// catching up, else only the newest.
pub fn due(cron: &Cron, zone: &TimeZone, catchup: bool, after: Timestamp, now: Timestamp) -> Vec<Interval> {
    let ending = |end| cron.interval_ending(end, zone).map(|(start, end)| Interval { start, end });
    if !catchup {
        let newest = cron.last_until(now, zone).filter(|end| *end > after);
        return newest.and_then(ending).into_iter().collect();
    }
    let mut found = Vec::new();
    let mut at = after;
    while let Some(end) = cron.next_after(at, zone).filter(|end| *end <= now && found.len() < MAX_AT_ONCE) {
        found.extend(ending(end));
        at = end;
    }
    found
}

/// The newest whole interval at `now`.
pub fn newest(cron: &Cron, zone: &TimeZone, now: Timestamp) -> Option<Interval> {
    due(cron, zone, false, Timestamp::MIN, now).pop()
}

/// Every interval that begins in `from..until`, oldest first, up to `limit` and one more.
pub fn beginning_within(
    cron: &Cron,
    zone: &TimeZone,
    from: Timestamp,
    until: Timestamp,
    limit: usize,
) -> Vec<Interval> {
    let mut found = Vec::new();
    let just_before = from.checked_sub(jiff::Span::new().nanoseconds(1)).unwrap_or(from);
    let mut start = cron.next_after(just_before, zone);
    while let Some(begin) = start.filter(|begin| *begin < until && found.len() <= limit) {
        let end = cron.next_after(begin, zone);
        found.extend(end.map(|end| Interval { start: begin, end }));
        start = end;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn only_catching_up_runs_what_was_missed() {
        let (cron, zone) = (Cron::parse("0 0 * * *").unwrap(), TimeZone::UTC);
        let (after, now) = (at("2026-01-01T00:00:00Z"), at("2026-01-04T10:00:00Z"));
        let newest = due(&cron, &zone, false, after, now);
        assert_eq!(newest.len(), 1);
        assert_eq!(newest[0].slot(), "2026-01-03T00:00:00Z");
        let all = due(&cron, &zone, true, after, now);
        assert_eq!(all.iter().map(|interval| interval.end).collect::<Vec<_>>().len(), 3);
        assert_eq!(all[0], Interval { start: at("2026-01-01T00:00:00Z"), end: at("2026-01-02T00:00:00Z") });
        // Nothing is due before its end, or when it was known already.
        assert_eq!(due(&cron, &zone, false, at("2026-01-04T00:00:00Z"), now), []);
        assert_eq!(due(&cron, &zone, true, at("2026-01-04T00:00:00Z"), now), []);
    }

    #[test]
    fn a_clock_far_ahead_does_not_burst() {
        let (cron, zone) = (Cron::parse("*/5 * * * *").unwrap(), TimeZone::UTC);
        let (after, now) = (at("2026-01-01T00:00:00Z"), at("2126-01-01T00:00:00Z"));
        assert_eq!(due(&cron, &zone, false, after, now).len(), 1);
        assert_eq!(due(&cron, &zone, true, after, now).len(), 100);
    }

    #[test]
    fn a_day_of_23_hours_is_a_day() {
        let (cron, zone) = (Cron::parse("0 0 * * *").unwrap(), TimeZone::get("Europe/Berlin").unwrap());
        let found =
            beginning_within(&cron, &zone, at("2026-03-27T23:00:00Z"), at("2026-03-29T22:00:00Z"), 10);
        let hours: Vec<i64> = found.iter().map(|day| day.end.duration_since(day.start).as_hours()).collect();
        assert_eq!(hours, [24, 23]);
    }
}
