//! Times: UTC milliseconds, and the ways they are written.
//!
//! Parsed by hand, as every event has one and a source may write it in any of a dozen ways.

use std::fmt::Write;
use std::ops::RangeInclusive;
use std::time::{SystemTime, UNIX_EPOCH};

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// UTC milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Millis(pub i64);

impl Millis {
    /// The clock now.
    pub fn now() -> Millis {
        Millis(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64))
    }

    /// Start of the minute that holds this time.
    pub fn floor_minute(self) -> Millis {
        Millis(self.0.div_euclid(MINUTE) * MINUTE)
    }

    /// Start of the hour that holds this time.
    pub fn floor_hour(self) -> Millis {
        Millis(self.0.div_euclid(HOUR) * HOUR)
    }

    /// Appends `YYYY-MM-DD HH:MM:SS`, with `.fff` after it when the fraction is not zero.
    pub fn write_sql(self, text: &mut String) {
        let (year, month, day) = civil_from_days(self.0.div_euclid(DAY));
        let in_day = self.0.rem_euclid(DAY);
        let (hour, minute, second) = (in_day / HOUR, in_day / MINUTE % 60, in_day / SECOND % 60);
        // `write!` costs as much as the whole row's other text; years have four digits here.
        push_digits(text, year, 4);
        text.push('-');
        push_digits(text, month, 2);
        text.push('-');
        push_digits(text, day, 2);
        text.push(' ');
        push_digits(text, hour, 2);
        text.push(':');
        push_digits(text, minute, 2);
        text.push(':');
        push_digits(text, second, 2);
        let fraction = in_day % SECOND;
        if fraction != 0 {
            text.push('.');
            push_digits(text, fraction, 3);
        }
    }

    /// Reads what [`write_sql`](Self::write_sql) writes, for years of four digits.
    pub fn parse_sql(text: &str) -> Option<Millis> {
        parse_iso(text, 0..=9999).and_then(Result::ok)
    }
}

impl std::fmt::Display for Millis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = String::with_capacity(23);
        self.write_sql(&mut text);
        f.write_str(&text)
    }
}

fn push_digits(text: &mut String, number: i64, digits: u32) {
    if !(0..10_i64.pow(digits)).contains(&number) {
        let _ = write!(text, "{number}");
        return;
    }
    for place in (0..digits).rev() {
        let digit = number / 10_i64.pow(place) % 10;
        text.push((b'0' + digit as u8) as char);
    }
}

/// Days since 1970-01-01 of a date of the Gregorian calendar.
/// Source: Howard Hinnant, "chrono-compatible low-level date algorithms", `days_from_civil`.
pub(crate) fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let era = shifted_year.div_euclid(400);
    let year_of_era = shifted_year.rem_euclid(400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The inverse: Hinnant's `civil_from_days`. Year, month, day.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// What a time says that cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Impossible(pub &'static str);

type ParsedTime = Option<Result<Millis, Impossible>>;

/// Years that an event may be of: wide enough for any log, narrow enough to catch slips.
const EVENT_YEARS: RangeInclusive<i64> = 2000..=2099;

const YEAR_OUT_OF_RANGE: &str = "year is not in 2000..=2099";

/// Reads `YYMMDDHH`, ISO 8601, or the seconds or milliseconds of the Unix epoch, which 10 and 13 digits
/// distinguish for every allowed year except 2000 and most of 2001. `None`: none of them.
pub(crate) fn parse_time(text: &str) -> ParsedTime {
    let bytes = text.as_bytes();
    if matches!(bytes.len(), 8 | 10 | 13) && bytes.iter().all(u8::is_ascii_digit) {
        return Some(parse_digits(bytes));
    }
    parse_iso(text, EVENT_YEARS)
}

fn parse_digits(digits: &[u8]) -> Result<Millis, Impossible> {
    let number = |digits: &[u8]| digits.iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0'));
    let since_epoch = match digits.len() {
        10 => number(digits) * SECOND,
        13 => number(digits),
        _ => {
            let two = |at: usize| number(&digits[at..at + 2]);
            return assemble(EVENT_YEARS, 2000 + two(0), two(2), two(4), [two(6), 0, 0, 0]);
        }
    };
    let (year, ..) = civil_from_days(since_epoch.div_euclid(DAY));
    if !EVENT_YEARS.contains(&year) {
        return Err(Impossible(YEAR_OUT_OF_RANGE));
    }
    Ok(Millis(since_epoch))
}

/// Reads `YYYY-MM-DD[T ]HH[:MM[:SS[.fraction]]]`, then a zone, with or without a space before it:
/// `Z`, `UTC`, `±HH`, `±HHMM` or `±HH:MM`. Without one it is UTC. Databases write all of these.
fn parse_iso(text: &str, years: RangeInclusive<i64>) -> ParsedTime {
    let mut scanner = Scanner { bytes: text.as_bytes(), at: 0 };
    let year = scanner.digits(4)?;
    scanner.expect(b'-')?;
    let month = scanner.digits(2)?;
    scanner.expect(b'-')?;
    let day = scanner.digits(2)?;
    if !matches!(scanner.next()?, b'T' | b't' | b' ') {
        return None;
    }
    let mut time = [scanner.digits(2)?, 0, 0, 0];
    if scanner.skip(b':') {
        time[1] = scanner.digits(2)?;
        if scanner.skip(b':') {
            time[2] = scanner.digits(2)?;
            if scanner.skip(b'.') {
                time[3] = scanner.fraction_ms()?;
            }
        }
    }
    let offset = scanner.zone_offset()?;
    if scanner.at != scanner.bytes.len() {
        return None;
    }
    let Ok(offset) = offset else {
        return Some(Err(Impossible("time zone is beyond 23:59")));
    };
    Some(assemble(years, year, month, day, time).map(|local| Millis(local.0 - offset)))
}

/// `time` is hour, minute, second, millisecond.
fn assemble(
    years: RangeInclusive<i64>,
    year: i64,
    month: i64,
    day: i64,
    time: [i64; 4],
) -> Result<Millis, Impossible> {
    let [hour, minute, second, millisecond] = time;
    if !years.contains(&year) {
        return Err(Impossible(YEAR_OUT_OF_RANGE));
    }
    if !(1..=12).contains(&month) {
        return Err(Impossible("month is not in 1..=12"));
    }
    if day < 1 || day > days_in_month(year, month) {
        return Err(Impossible("the month has no such day"));
    }
    if hour > 23 {
        return Err(Impossible("hour is not in 0..=23"));
    }
    if minute > 59 || second > 59 {
        return Err(Impossible("minute or second is not in 0..=59"));
    }
    let days = days_from_civil(year, month, day);
    Ok(Millis(days * DAY + hour * HOUR + minute * MINUTE + second * SECOND + millisecond))
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    fn next(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn expect(&mut self, wanted: u8) -> Option<()> {
        (self.next()? == wanted).then_some(())
    }

    fn skip(&mut self, wanted: u8) -> bool {
        let found = self.bytes.get(self.at) == Some(&wanted);
        self.at += usize::from(found);
        found
    }

    fn digits(&mut self, count: usize) -> Option<i64> {
        let mut number = 0;
        for _ in 0..count {
            let byte = self.next()?;
            if !byte.is_ascii_digit() {
                return None;
            }
            number = number * 10 + i64::from(byte - b'0');
        }
        Some(number)
    }

    /// Digits after the point; beyond milliseconds they are cut off.
    fn fraction_ms(&mut self) -> Option<i64> {
        let start = self.at;
        let mut milliseconds = 0;
        let mut weight = 100;
        while let Some(byte) = self.bytes.get(self.at).filter(|byte| byte.is_ascii_digit()) {
            milliseconds += i64::from(byte - b'0') * weight;
            weight /= 10;
            self.at += 1;
        }
        (self.at > start).then_some(milliseconds)
    }

    /// Offset from UTC in ms; the inner error is an offset that cannot be.
    fn zone_offset(&mut self) -> Option<Result<i64, ()>> {
        let rest = &self.bytes[self.at..];
        if rest.is_empty() {
            return Some(Ok(0));
        }
        let zone = rest.strip_prefix(b" ").unwrap_or(rest);
        if zone.eq_ignore_ascii_case(b"Z") || zone.eq_ignore_ascii_case(b"UTC") {
            self.at = self.bytes.len();
            return Some(Ok(0));
        }
        self.at = self.bytes.len() - zone.len();
        let sign = match self.next()? {
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        let hours = self.digits(2)?;
        let has_minutes = self.skip(b':') || self.at < self.bytes.len();
        let minutes = if has_minutes { self.digits(2)? } else { 0 };
        let valid = hours <= 23 && minutes <= 59;
        Some(valid.then_some(sign * (hours * HOUR + minutes * MINUTE)).ok_or(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Option<String> {
        parse_time(text)?.ok().map(|time| time.to_string())
    }

    #[test]
    fn every_form_is_read() {
        for (text, expected) in [
            ("14102100", "2014-10-21 00:00:00"),
            ("2026-11-20T13:05:07.123Z", "2026-11-20 13:05:07.123"),
            ("2026-11-20 13", "2026-11-20 13:00:00"),
            ("2026-11-20 13:05", "2026-11-20 13:05:00"),
            ("2026-11-20T13:05:07+09:00", "2026-11-20 04:05:07"),
            ("2026-11-20T00:05:07.9-0130", "2026-11-20 01:35:07.900"),
            ("2024-02-29T23:59:59.9999", "2024-02-29 23:59:59.999"),
            ("2014-10-21 00:00:00+00", "2014-10-21 00:00:00"),
            ("2014-10-21 09:30:00.250000+09", "2014-10-21 00:30:00.250"),
            ("2014-10-20T18:30-0530", "2014-10-21 00:00:00"),
            ("2014-10-21 00:00:00 UTC", "2014-10-21 00:00:00"),
            ("2014-10-21T00:00:00.5 utc", "2014-10-21 00:00:00.500"),
            ("2014-10-21 02:00:00 +02:00", "2014-10-21 00:00:00"),
            ("1413849600", "2014-10-21 00:00:00"),
            ("1413849600123", "2014-10-21 00:00:00.123"),
            ("4102444799999", "2099-12-31 23:59:59.999"),
        ] {
            assert_eq!(time(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_is_told_from_what_cannot_be_read() {
        for text in [
            "2023-02-29T00:00:00Z",
            "14132100",
            "14102124",
            "2026-11-20T13:05:60Z",
            "1999-01-01T00:00",
            "9999999999",
            "0000000000000",
            "2026-11-20T13:05+24",
        ] {
            assert!(matches!(parse_time(text), Some(Err(_))), "{text}");
        }
        for text in [
            "",
            "today",
            "2026-11-20",
            "141021",
            "2026-11-20T1:05",
            "2026-11-20T13:05Zx",
            "1410210a",
            "2026-11-20T13:05 ",
            "2026-11-20T13:05+",
            "2026-11-20T13:05+9",
            "2026-11-20T13:05+09:",
            "2026-11-20T13:05  UTC",
            "141384960",
            "14138496001",
        ] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }

    #[test]
    fn calendar_goes_there_and_back() {
        for days in (10_957..47_482).step_by(17) {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), days);
        }
        assert_eq!(days_from_civil(1970, 1, 1), 0);
        assert_eq!(days_from_civil(2014, 10, 21), 16_364);
    }
}
