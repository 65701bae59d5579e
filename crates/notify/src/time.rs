//! Times of day and zones: what people read and set; everything else is UTC.

use adpipe_event::Millis;
use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer};

/// A time zone by its name.
#[derive(Debug, Clone, PartialEq)]
pub struct Zone(pub TimeZone);

impl Zone {
    /// Its IANA name.
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// A moment there.
    pub fn local(&self, at: Millis) -> jiff::ZonedDateTime {
        Timestamp::from_millisecond(at.0).unwrap_or(Timestamp::UNIX_EPOCH).to_zoned_datetime(self.0.clone())
    }

    /// The moment of a time of day; for a time that daylight saving skips, the moment as long after the
    /// gap's beginning; for a time that occurs twice, the first.
    pub fn moment(&self, date: Date, time: Time) -> Result<Millis, jiff::Error> {
        let zoned = date.to_datetime(time).to_zoned_datetime(self.0.clone())?;
        Ok(Millis(zoned.timestamp().as_millisecond()))
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Zone, D::Error> {
        let name = String::deserialize(deserializer)?;
        TimeZone::get(&name).map(Zone).map_err(|_| {
            serde::de::Error::custom(format!(
                "{name:?} is not a time zone; write one like \"Asia/Seoul\" or \"UTC\""
            ))
        })
    }
}

/// A time of day, written `09:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClockTime(pub Time);

impl std::fmt::Display for ClockTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:02}:{:02}", self.0.hour(), self.0.minute())
    }
}

impl<'de> Deserialize<'de> for ClockTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ClockTime, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_clock(&text).ok_or_else(|| {
            serde::de::Error::custom(format!("{text:?} is not a time of day; write one like \"09:00\""))
        })
    }
}

fn parse_clock(text: &str) -> Option<ClockTime> {
    let (hour, minute) = text.split_once(':')?;
    let digits = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(hour) || !digits(minute) {
        return None;
    }
    Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok().map(ClockTime)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_times() {
        assert_eq!(parse_clock("09:05").unwrap().to_string(), "09:05");
        for wrong in ["9:05", "24:00", "12:60", "noon", "12", "-1:00"] {
            assert_eq!(parse_clock(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_time_that_is_skipped_or_twice_has_one_moment() {
        let zone = Zone(TimeZone::get("Europe/Berlin").unwrap());
        let at = |date: &str| {
            zone.moment(date.parse().unwrap(), Time::new(2, 30, 0, 0).unwrap()).unwrap().to_string()
        };
        assert_eq!(at("2026-03-29"), "2026-03-29 01:30:00");
        assert_eq!(at("2026-10-25"), "2026-10-25 00:30:00");
    }
}
