//! Lengths of time as people write them, in every file and flag: `100ms`, `10s`, `5m`, `1h`, `7d`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

impl Span {
    /// So many milliseconds.
    pub const fn milliseconds(count: u64) -> Span {
        Span(Duration::from_millis(count))
    }

    /// So many seconds.
    pub const fn seconds(count: u64) -> Span {
        Span(Duration::from_secs(count))
    }

    /// So many minutes.
    pub const fn minutes(count: u64) -> Span {
        Span::seconds(count * 60)
    }

    /// So many hours.
    pub const fn hours(count: u64) -> Span {
        Span::minutes(count * 60)
    }

    /// So many days.
    pub const fn days(count: u64) -> Span {
        Span::hours(count * 24)
    }

    /// Reads a key that takes a length of time or one word, for which it gives none. `like` is an
    /// example for the message.
    ///
    /// # Errors
    /// When the value is neither.
    pub fn or_word<'de, D: Deserializer<'de>>(
        deserializer: D,
        word: &str,
        like: &str,
    ) -> Result<Option<Span>, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == word {
            return Ok(None);
        }
        let wrong = |error| format!("{text:?} is neither {word:?} nor a duration like {like:?}: {error}");
        duration(&text).map(|span| Some(Span(span))).map_err(wrong).map_err(serde::de::Error::custom)
    }
}

/// Reads a length of time, for flags.
///
/// # Errors
/// When it is none.
pub fn duration(text: &str) -> Result<Duration, humantime::DurationError> {
    humantime::parse_duration(text)
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const DAY: u128 = 86_400_000;
        let millis = self.0.as_millis();
        // humantime makes months of ninety days; people write "90d".
        if millis > 0 && millis.is_multiple_of(DAY) {
            write!(f, "{}d", millis / DAY)
        } else {
            write!(f, "{}", humantime::format_duration(self.0))
        }
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Span, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = |error| format!("{text:?} is not a duration like \"30s\", \"5m\" or \"7d\": {error}");
        duration(&text).map(Span).map_err(wrong).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::{Span, duration};

    #[test]
    fn a_span_is_read_back() {
        for span in [Span::days(7), Span::milliseconds(100), Span::minutes(90)] {
            assert_eq!(duration(&span.to_string()).map(Span), Ok(span));
        }
        assert_eq!(Span::days(90).to_string(), "90d");
    }
}
