//! Cron expressions in a time zone.
//!
//! Five fields (minute, hour, day of month, month, day of week) with lists, ranges, steps and
//! English names, or `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`. As in cron(8), a day
//! matches when the day of month *or* the day of week does, if both are restricted.
//!
//! Daylight saving, as cron(8) and Airflow have it: an hour that is named (`30 2 * * *`) comes
//! exactly once a day, at the next moment that exists when the clock skips it and at the first of
//! two when the clock repeats it. With `*` as the hour (`*/5 * * * *`) it is the time passed that
//! counts, so a repeated hour is worked through twice and a skipped one not at all.
//!
//! Parsed by hand, as these rules need to know how the hour was written and which of the two days is
//! restricted, and not only which minutes match.

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Span, Timestamp};

/// Days looked through before a schedule counts as never: a 29 February on one weekday comes every 28
/// years, and after 40 if a century is in between.
const MAX_DAYS: i32 = 366 * 41;

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// When a DAG is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    text: String,
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Whether the field restricts anything: `*` and `*/n` do not, by cron's own definition.
    restricts_day: bool,
    restricts_weekday: bool,
    any_hour: bool,
}

impl Cron {
    /// Reads an expression.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn parse(text: &str) -> Result<Cron, String> {
        let expanded = match text.trim() {
            "@hourly" => "0 * * * *",
            "@daily" | "@midnight" => "0 0 * * *",
            "@weekly" => "0 0 * * 0",
            "@monthly" => "0 0 1 * *",
            "@yearly" | "@annually" => "0 0 1 1 *",
            other => other,
        };
        let fields: Vec<&str> = expanded.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..] else {
            return Err(format!(
                "{text:?} is not a schedule: write minute, hour, day of month, month and day of week, as in \
                 \"0 0 * * *\", or @daily"
            ));
        };
        let weekdays = field("day of week", weekday, 0, 7, &WEEKDAYS, 0)?;
        let hours = field("hour", hour, 0, 23, &[], 0)?;
        let cron = Cron {
            text: text.trim().to_owned(),
            minutes: field("minute", minute, 0, 59, &[], 0)?,
            hours,
            days: field("day of month", day, 1, 31, &[], 0)?,
            months: field("month", month, 1, 12, &MONTHS, 1)?,
            // 7 is another name of Sunday.
            weekdays: (weekdays | weekdays >> 7) & 0x7f,
            restricts_day: !day.starts_with('*'),
            restricts_weekday: !weekday.starts_with('*'),
            any_hour: hours == (1 << 24) - 1,
        };
        let from = Timestamp::UNIX_EPOCH;
        match cron.next_after(from, &TimeZone::UTC) {
            Some(_) => Ok(cron),
            None => Err(format!("{text:?} never comes: no such day exists")),
        }
    }

    /// The expression as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The first moment after `after`.
    pub fn next_after(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        // A day's moments may lie after its end when midnight itself is skipped.
        let mut date = zone.to_datetime(after).date().yesterday().ok()?;
        for _ in 0..MAX_DAYS {
            if let Some(found) = self.moments_of(date, zone).into_iter().find(|moment| *moment > after) {
                return Some(found);
            }
            date = date.tomorrow().ok()?;
        }
        None
    }

    /// The last moment at or before `until`.
    pub fn last_until(&self, until: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let mut date = zone.to_datetime(until).date();
        for _ in 0..MAX_DAYS {
            let moments = self.moments_of(date, zone);
            if let Some(found) = moments.into_iter().rev().find(|moment| *moment <= until) {
                return Some(found);
            }
            date = date.yesterday().ok()?;
        }
        None
    }

    /// The data interval that ends at `end`, a moment of this schedule: it begins at the one before.
    pub fn interval_ending(&self, end: Timestamp, zone: &TimeZone) -> Option<(Timestamp, Timestamp)> {
        let just_before = end.checked_sub(Span::new().nanoseconds(1)).ok()?;
        Some((self.last_until(just_before, zone)?, end))
    }

    /// Every moment of a local day, in order, none twice.
    fn moments_of(&self, date: Date, zone: &TimeZone) -> Vec<Timestamp> {
        if !self.is_day(date) {
            return Vec::new();
        }
        let mut moments = Vec::new();
        for hour in members(self.hours) {
            for minute in members(self.minutes) {
                let Ok(time) = Time::new(hour, minute, 0, 0) else { continue };
                self.add_moments(date.to_datetime(time), zone, &mut moments);
            }
        }
        moments.sort();
        moments.dedup();
        moments
    }

    fn add_moments(&self, local: DateTime, zone: &TimeZone, moments: &mut Vec<Timestamp>) {
        let ambiguous = zone.to_ambiguous_timestamp(local);
        match (ambiguous.offset(), self.any_hour) {
            (AmbiguousOffset::Unambiguous { .. }, _) => moments.extend(ambiguous.compatible()),
            (AmbiguousOffset::Gap { .. }, true) => {}
            // Read with the offset after the gap, it is before the gap; the gap's end is the change.
            (AmbiguousOffset::Gap { .. }, false) => {
                let change = ambiguous
                    .earlier()
                    .ok()
                    .and_then(|before| zone.following(before).next())
                    .map(|transition| transition.timestamp());
                moments.extend(change);
            }
            (AmbiguousOffset::Fold { .. }, true) => {
                moments.extend(ambiguous.earlier());
                moments.extend(zone.to_ambiguous_timestamp(local).later());
            }
            (AmbiguousOffset::Fold { .. }, false) => moments.extend(ambiguous.earlier()),
        }
    }

    fn is_day(&self, date: Date) -> bool {
        let day = has(self.days, date.day());
        let weekday = has(self.weekdays, date.weekday().since(Weekday::Sunday));
        let matches = match (self.restricts_day, self.restricts_weekday) {
            (true, true) => day || weekday,
            _ => day && weekday,
        };
        matches && has(self.months, date.month())
    }
}

fn has(set: u64, member: i8) -> bool {
    set >> member & 1 == 1
}

fn members(set: u64) -> impl Iterator<Item = i8> {
    (0..60).filter(move |member| has(set, *member))
}

/// One field as a set of bits. `first_name` is the number of the first of `names`.
fn field(what: &str, text: &str, low: u8, high: u8, names: &[&str], first_name: u8) -> Result<u64, String> {
    let wrong = |part: &str| format!("{part:?} is not a {what}: write {low} to {high}, *, */n, a-b or a,b");
    let number = |part: &str| -> Result<u8, String> {
        let lower = part.to_ascii_lowercase();
        if let Some(index) = names.iter().position(|name| *name == lower) {
            return Ok(index as u8 + first_name);
        }
        // "+5" is a number for Rust and none for cron.
        let plain = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let parsed = part.parse().ok().filter(|number| plain && (low..=high).contains(number));
        parsed.ok_or_else(|| wrong(part))
    };
    let mut set = 0;
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => {
                let step = step.parse::<u8>().ok().filter(|step| *step > 0).ok_or_else(|| wrong(part))?;
                (range, Some(step))
            }
            None => (part, None),
        };
        let (first, last) = match (range, range.split_once('-')) {
            ("*", _) => (low, high),
            (_, Some((first, last))) => (number(first)?, number(last)?),
            // "5/15" is 5-59/15.
            (single, None) => (number(single)?, if step.is_some() { high } else { number(single)? }),
        };
        if first > last {
            return Err(wrong(part));
        }
        let step = usize::from(step.unwrap_or(1));
        set |= (first..=last).step_by(step).fold(0, |set, member| set | 1 << member);
    }
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first moments after `after`, in local time.
    fn next(expression: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
        let zone = TimeZone::get(zone).unwrap();
        let cron = Cron::parse(expression).unwrap();
        let mut at: Timestamp = after.parse().unwrap();
        let step = |_| {
            at = cron.next_after(at, &zone).unwrap();
            at.to_zoned_datetime(zone.clone()).strftime("%m-%d %H:%M %:z").to_string()
        };
        (0..count).map(step).collect()
    }

    #[test]
    fn fields_mean_what_cron_means() {
        assert_eq!(next("*/20 9-10 * * *", "UTC", "2026-03-01T08:00:00Z", 4)[3], "03-01 10:00 +00:00");
        assert_eq!(next("5/25 0 1 jan,JUL *", "UTC", "2026-03-01T00:00:00Z", 1), ["07-01 00:05 +00:00"]);
        // Both days restricted: either will do. 2026-03-01 is a Sunday.
        let both = next("0 0 13 * fri", "UTC", "2026-03-01T00:00:00Z", 3);
        assert_eq!(both, ["03-06 00:00 +00:00", "03-13 00:00 +00:00", "03-20 00:00 +00:00"]);
        let sundays = next("0 0 * * 7", "UTC", "2026-03-01T00:00:00Z", 1);
        assert_eq!(sundays, next("@weekly", "UTC", "2026-03-01T00:00:00Z", 1));
        // Every second day, by cron's definition, and on Mondays: both.
        let odd_mondays = next("0 0 */2 * 1", "UTC", "2026-03-01T00:00:00Z", 2);
        assert_eq!(odd_mondays, ["03-09 00:00 +00:00", "03-23 00:00 +00:00"]);
        assert_eq!(next("0 0 29 2 *", "UTC", "2026-03-01T00:00:00Z", 1), ["02-29 00:00 +00:00"]);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for wrong in ["", "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "5-1 * * * *"] {
            assert!(Cron::parse(wrong).is_err(), "{wrong}");
        }
        for wrong in ["*/0 * * * *", "+5 * * * *", "a * * * *", "1,, * * * *", "@sometimes", "-1 * * * *"] {
            assert!(Cron::parse(wrong).is_err(), "{wrong}");
        }
        assert!(Cron::parse("0 0 31 2 *").unwrap_err().contains("never"));
    }

    #[test]
    fn a_skipped_hour_runs_at_the_next_moment_that_exists() {
        // Berlin 2026-03-29: 02:00 becomes 03:00.
        let days = next("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", 3);
        assert_eq!(days, ["03-28 02:30 +01:00", "03-29 03:00 +02:00", "03-30 02:30 +02:00"]);
        // Havana skips midnight itself: 2026-03-08 00:00 becomes 01:00.
        let days = next("0 0 * * *", "America/Havana", "2026-03-07T12:00:00Z", 2);
        assert_eq!(days, ["03-08 01:00 -04:00", "03-09 00:00 -04:00"]);
        // Several that fall into the gap are one.
        let many = next("0,20,40 2-3 * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", 3);
        assert_eq!(many, ["03-29 03:00 +02:00", "03-29 03:20 +02:00", "03-29 03:40 +02:00"]);
    }

    #[test]
    fn a_repeated_hour_runs_once_unless_every_hour_is_meant() {
        // Berlin 2026-10-25: 03:00 becomes 02:00.
        let days = next("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2);
        assert_eq!(days, ["10-25 02:30 +02:00", "10-26 02:30 +01:00"]);
        let steps = next("*/30 * * * *", "Europe/Berlin", "2026-10-24T23:59:00Z", 5);
        let expected = [
            "10-25 02:00 +02:00",
            "10-25 02:30 +02:00",
            "10-25 02:00 +01:00",
            "10-25 02:30 +01:00",
            "10-25 03:00 +01:00",
        ];
        assert_eq!(steps, expected);
        let steps = next("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:29:00Z", 3);
        assert_eq!(steps, ["03-29 01:30 +01:00", "03-29 03:00 +02:00", "03-29 03:30 +02:00"]);
    }

    #[test]
    fn the_last_one_before_is_the_inverse_of_the_next_one() {
        for (expression, zone) in [
            ("30 2 * * *", "Europe/Berlin"),
            ("*/7 * * * *", "Europe/Berlin"),
            ("0 0 * * *", "America/Havana"),
        ] {
            let (cron, zone) = (Cron::parse(expression).unwrap(), TimeZone::get(zone).unwrap());
            let mut at: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
            for _ in 0..2_000 {
                let following = cron.next_after(at, &zone).unwrap();
                assert!(following > at);
                assert_eq!(cron.last_until(following, &zone), Some(following));
                let (start, end) = cron.interval_ending(following, &zone).unwrap();
                assert_eq!(end, following);
                assert_eq!(cron.next_after(start, &zone), Some(following), "{expression}");
                at = following;
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(text in "[0-9*/,@a-z -]{0,20}") {
            let _ = Cron::parse(&text);
        }
    }
}
