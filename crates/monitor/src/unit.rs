//! Values as people read them.

use crate::rules::Language;
use crate::signal::Signal;

/// What a signal counts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Things: `12,345`.
    Count,
    /// Time: `7.2 s`, `2 h 5 min`.
    Seconds,
    /// A part of the whole, 0 to 1: `1.31 %`. With a decimal more than other values, as what is
    /// just over 1 % should not read as 1 %.
    Share,
    /// So many times: `14.4`.
    Times,
}

impl Signal {
    /// What its value counts in.
    pub fn unit(self) -> Unit {
        match self {
            Signal::Latency
            | Signal::Stalled
            | Signal::DagOverdue
            | Signal::ArchiveBehind
            | Signal::SourceOverdue
            | Signal::Silent
            | Signal::WarehouseSilent
            | Signal::NotificationsWaiting => Unit::Seconds,
            Signal::ErrorShare | Signal::DiskFree => Unit::Share,
            Signal::BurnRate => Unit::Times,
            Signal::Throughput
            | Signal::Lag
            | Signal::LagGrowth
            | Signal::DlqOpen
            | Signal::DlqExhausted
            | Signal::DlqGrowth
            | Signal::DagFailures
            | Signal::ArchiveUnreadable
            | Signal::FailingDataTests => Unit::Count,
        }
    }
}

impl Unit {
    /// A value in this unit, for people.
    pub fn format(self, language: Language, value: f64) -> String {
        match self {
            Unit::Count => count(value),
            Unit::Seconds => format_duration(language, value),
            Unit::Share => percent(language, value, 1),
            Unit::Times => digits(value),
        }
    }

    /// A value shown next to the threshold that it exceeds: a share that would look like the threshold
    /// gets up to three more decimals to distinguish them.
    pub fn format_beside(self, language: Language, value: f64, threshold: f64) -> String {
        let usual = self.format(language, value);
        if self != Unit::Share || value == threshold || usual != self.format(language, threshold) {
            return usual;
        }
        let exact = |more| percent(language, value, more);
        (2..=4).map(exact).find(|text| *text != usual).unwrap_or(usual)
    }
}

/// `more` decimals than other values have.
fn percent(language: Language, share: f64, more: usize) -> String {
    let percent = shortest(share * 100.0, decimals(share * 100.0) + more);
    match language {
        Language::English => format!("{percent} %"),
        Language::Korean => format!("{percent}%"),
    }
}

/// `12,345`; of less than ten also the first decimal, unless it is 0.
fn count(value: f64) -> String {
    if !value.is_finite() {
        return value.to_string();
    }
    if value.abs() < 10.0 {
        return digits(value);
    }
    let sign = if value < 0.0 { "-" } else { "" };
    format!("{sign}{}", adpipe_runtime::grouped(&format!("{:.0}", value.abs())))
}

/// As many decimals as are meaningful: `0.015`, `1.3`, `14.4`, `120`.
fn digits(value: f64) -> String {
    shortest(value, decimals(value))
}

fn decimals(value: f64) -> usize {
    match value.abs() {
        large if large >= 99.95 => 0,
        small if small >= 0.095 || small == 0.0 => 1,
        tiny if tiny >= 0.0095 => 2,
        _ => 3,
    }
}

/// Without the zeros at its end.
fn shortest(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A length of time: `0.8 s`, `7.2 s`, `45 s`, `1 min 30 s`, `2 h 5 min`, `3 d 4 h`.
pub fn format_duration(language: Language, seconds: f64) -> String {
    let names = match language {
        Language::English => [" d", " h", " min", " s", " "],
        Language::Korean => ["일", "시간", "분", "초", " "],
    };
    if !seconds.is_finite() || seconds.abs() < 9.95 {
        return format!("{}{}", digits(seconds), names[3]);
    }
    let sign = if seconds < 0.0 { "-" } else { "" };
    let whole = seconds.abs().round() as u64;
    let (large, small) = match whole {
        0..60 => ((whole, 3), None),
        60..3_600 => ((whole / 60, 2), Some((whole % 60, 3))),
        3_600..86_400 => ((whole / 3_600, 1), Some((whole % 3_600 / 60, 2))),
        _ => ((whole / 86_400, 0), Some((whole % 86_400 / 3_600, 1))),
    };
    let mut text = format!("{sign}{}{}", large.0, names[large.1]);
    if let Some((number, name)) = small.filter(|(number, _)| *number > 0) {
        text.push_str(&format!("{}{number}{}", names[4], names[name]));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use Language::{English, Korean};

    #[test]
    fn values_are_as_people_write_them() {
        let cases = [
            (Unit::Count, 0.0, "0", "0"),
            (Unit::Count, 4.0, "4", "4"),
            (Unit::Count, 3.2, "3.2", "3.2"),
            (Unit::Count, 999.4, "999", "999"),
            (Unit::Count, 12_345.0, "12,345", "12,345"),
            (Unit::Count, 1_234_567.8, "1,234,568", "1,234,568"),
            (Unit::Count, -12_345.0, "-12,345", "-12,345"),
            (Unit::Share, 0.01, "1 %", "1%"),
            (Unit::Share, 0.0131, "1.31 %", "1.31%"),
            (Unit::Share, 0.0101, "1.01 %", "1.01%"),
            (Unit::Share, 0.0004, "0.04 %", "0.04%"),
            (Unit::Share, 1.0, "100 %", "100%"),
            (Unit::Times, 14.4, "14.4", "14.4"),
            (Unit::Times, 120.2, "120", "120"),
            (Unit::Seconds, 0.0, "0 s", "0초"),
            (Unit::Seconds, 0.081, "0.08 s", "0.08초"),
            (Unit::Seconds, 7.23, "7.2 s", "7.2초"),
            (Unit::Seconds, 59.6, "1 min", "1분"),
            (Unit::Seconds, 90.0, "1 min 30 s", "1분 30초"),
            (Unit::Seconds, 7_500.0, "2 h 5 min", "2시간 5분"),
            (Unit::Seconds, 86_400.0 * 3.0 + 4.0 * 3_600.0, "3 d 4 h", "3일 4시간"),
        ];
        for (unit, value, english, korean) in cases {
            assert_eq!(unit.format(English, value), english, "{value}");
            assert_eq!(unit.format(Korean, value), korean, "{value}");
        }
    }

    #[test]
    fn a_share_just_beyond_its_threshold_does_not_read_as_it() {
        let beside = |value| Unit::Share.format_beside(English, value, 0.01);
        assert_eq!(beside(0.010_03), "1.003 %");
        assert_eq!(beside(0.010_000_04), "1 %", "no more decimals than anybody reads");
        assert_eq!(
            (beside(0.01), beside(0.02), beside(0.0131)),
            ("1 %".into(), "2 %".into(), "1.31 %".into())
        );
        assert_eq!(Unit::Share.format_beside(Korean, 0.099_96, 0.1), "9.996%");
    }
}
