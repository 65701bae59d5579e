//! Durations and sizes as people write them: `10s`, `7d`, `8MiB`.

use std::time::Duration;

use adpipe_runtime::Span;
use bytesize::ByteSize;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

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
        let span = Span::or_word(deserializer, "auto", "7d")?;
        Ok(span.map_or(HotWindow::Auto, HotWindow::Span))
    }
}

/// A number of bytes; written `8MiB`, `10GB`, `512`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

impl Size {
    pub const fn mib(count: u64) -> Size {
        Size(count * bytesize::MIB)
    }

    pub const fn gib(count: u64) -> Size {
        Size(count * bytesize::GIB)
    }

    pub fn parse(text: &str) -> Option<Size> {
        let ByteSize(bytes) = text.trim().parse().ok()?;
        // What does not fit becomes the largest.
        (bytes < u64::MAX).then_some(Size(bytes))
    }

    /// As a size in memory.
    pub fn bytes(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// Units that a size is written in.
const UNITS: [(&str, u64); 9] = [
    ("TiB", bytesize::TIB),
    ("GiB", bytesize::GIB),
    ("MiB", bytesize::MIB),
    ("KiB", bytesize::KIB),
    ("TB", bytesize::TB),
    ("GB", bytesize::GB),
    ("MB", bytesize::MB),
    ("KB", bytesize::KB),
    ("B", 1),
];

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // By hand, as a rounded size would not be read back as it was. The unit that leaves the shortest
        // whole number: 1TB and not 976562500KiB.
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
        assert_eq!(Size::parse("99999999TiB"), None);
        assert_eq!(Size::parse("512"), Some(Size(512)));
    }
}
