//! Durations and sizes as people write them: `10s`, `7d`, `8MiB`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A length of time; written `100ms`, `10s`, `5m`, `1h`, `7d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

impl Span {
    pub const fn milliseconds(count: u64) -> Span {
        Span(Duration::from_millis(count))
    }

    pub const fn minutes(count: u64) -> Span {
        Span(Duration::from_secs(count * 60))
    }

    pub const fn hours(count: u64) -> Span {
        Span::minutes(count * 60)
    }

    pub const fn days(count: u64) -> Span {
        Span::hours(count * 24)
    }
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
        humantime::parse_duration(&text).map(Span).map_err(|error| {
            serde::de::Error::custom(format!(
                "{text:?} is not a duration like \"10s\", \"5m\" or \"7d\": {error}"
            ))
        })
    }
}

/// How long events stay hot; written as a length of time, or `auto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HotWindow {
    /// A day in the embedded warehouse, seven on PostgreSQL.
    Auto,
    /// So long.
    Span(Span),
}

impl HotWindow {
    /// For the warehouse at this URL.
    pub fn of(self, url: &str) -> Duration {
        match self {
            HotWindow::Span(span) => span.0,
            HotWindow::Auto if adpipe_warehouse::postgres::is_postgres(url) => Span::days(7).0,
            HotWindow::Auto => Span::days(1).0,
        }
    }
}

impl Serialize for HotWindow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            HotWindow::Auto => serializer.serialize_str("auto"),
            HotWindow::Span(span) => span.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for HotWindow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<HotWindow, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.as_str() {
            "auto" => Ok(HotWindow::Auto),
            _ => humantime::parse_duration(&text).map(|span| HotWindow::Span(Span(span))).map_err(|error| {
                serde::de::Error::custom(format!(
                    "{text:?} is neither \"auto\" nor a duration like \"7d\": {error}"
                ))
            }),
        }
    }
}

/// A number of bytes; written `8MiB`, `10GB`, `512`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

impl Size {
    pub const fn mib(count: u64) -> Size {
        Size(count << 20)
    }

    pub const fn gib(count: u64) -> Size {
        Size(count << 30)
    }

    pub fn parse(text: &str) -> Option<Size> {
        let text = text.trim();
        let (number, unit) = UNITS
            .iter()
            .find_map(|(name, unit)| text.strip_suffix(name).map(|number| (number, *unit)))
            .unwrap_or((text, 1));
        number.trim().parse::<u64>().ok()?.checked_mul(unit).map(Size)
    }

    /// As a size in memory.
    pub fn bytes(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The unit that leaves the shortest whole number: 1TB and not 976562500KiB.
        let whole = UNITS.iter().filter(|(_, unit)| self.0.is_multiple_of(*unit));
        let (name, unit) = whole.min_by_key(|(_, unit)| self.0 / unit).copied().unwrap_or(("B", 1));
        write!(f, "{}{name}", self.0 / unit)
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Size, D::Error> {
        let text = String::deserialize(deserializer)?;
        Size::parse(&text).ok_or_else(|| {
            serde::de::Error::custom(format!("{text:?} is not a size like \"8MiB\" or \"10GB\""))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read_back() {
        for text in ["512B", "8MiB", "10GiB", "3KB", "1TB"] {
            assert_eq!(Size::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Size::parse("12 parsecs"), None);
        for span in [Span::days(7), Span::milliseconds(100), Span::minutes(90)] {
            assert_eq!(humantime::parse_duration(&span.to_string()).unwrap(), span.0);
        }
    }
}
