//! How many invalid records an import may hold before it ends.

use std::fmt;
use std::str::FromStr;

/// A share is judged from this many records on: the first invalid one would be 100 % of what came.
const FIRST_JUDGED: u64 = 1_000;

/// The most invalid records that one run may take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ErrorLimit {
    /// So many.
    Count(u64),
    /// So many of a hundred records, judged once 1,000 were read, and at the end.
    Percent(f64),
}

impl ErrorLimit {
    /// Whether a run that has read so many records may continue; `at_end` when there are no more.
    pub fn allows(self, invalid: u64, records: u64, at_end: bool) -> bool {
        match self {
            ErrorLimit::Count(most) => invalid <= most,
            ErrorLimit::Percent(most) => {
                (!at_end && records < FIRST_JUDGED) || invalid as f64 * 100.0 <= most * records as f64
            }
        }
    }
}

impl FromStr for ErrorLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<ErrorLimit, String> {
        let wrong = || format!("{text:?} is neither a number like 100 nor a share like 0.5%");
        match text.strip_suffix('%') {
            None => text.parse().map(ErrorLimit::Count).map_err(|_| wrong()),
            Some(percent) => match percent.trim_end().parse::<f64>() {
                Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(ErrorLimit::Percent(percent)),
                _ => Err(wrong()),
            },
        }
    }
}

impl fmt::Display for ErrorLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ErrorLimit::Count(most) => most.fmt(f),
            ErrorLimit::Percent(most) => write!(f, "{most}%"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_number_or_a_share() {
        for (text, limit) in [
            ("0", ErrorLimit::Count(0)),
            ("250", ErrorLimit::Count(250)),
            ("1%", ErrorLimit::Percent(1.0)),
            ("0.5 %", ErrorLimit::Percent(0.5)),
        ] {
            assert_eq!(text.parse(), Ok(limit));
        }
        for text in ["", "-1", "1.5", "%", "101%", "NaN%", "many"] {
            assert!(text.parse::<ErrorLimit>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_share_is_judged_when_there_is_something_to_judge() {
        let limit = ErrorLimit::Percent(1.0);
        assert!(limit.allows(1, 1, false) && !limit.allows(1, 1, true));
        assert!(limit.allows(10, 1_000, false) && !limit.allows(11, 1_000, false));
        assert!(limit.allows(0, 0, true));
        let limit = ErrorLimit::Count(2);
        assert!(limit.allows(2, 2, false) && !limit.allows(3, 1_000_000, false));
    }
}
