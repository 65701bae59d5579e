//! Which format and compression some bytes have.

use std::io::Read;

/// Wire format of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Ndjson,
    /// A JSON array of objects, or objects that go over several lines each.
    JsonArray,
    /// A header line and one row a line.
    Csv,
}

/// Compression of a file or body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// None.
    Identity,
    /// gzip, of one or more members.
    Gzip,
    /// Zstandard, of one or more frames.
    Zstd,
}

/// The compression that the first bytes show.
pub fn sniff_encoding(start: &[u8]) -> Encoding {
    if start.starts_with(&[0x1f, 0x8b]) {
        Encoding::Gzip
    } else if start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        Encoding::Zstd
    } else {
        Encoding::Identity
    }
}

/// The format that the first (uncompressed) bytes show; none when there is only white space.
pub fn sniff_format(start: &[u8]) -> Option<Format> {
    let start = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start);
    let first = start.iter().find(|byte| !byte.is_ascii_whitespace())?;
    Some(match first {
        b'[' => Format::JsonArray,
        b'{' if opens_over_lines(start) => Format::JsonArray,
        b'{' => Format::Ndjson,
        _ => Format::Csv,
    })
}

/// Whether the first line is a brace and nothing else, as in JSON that was printed for people.
fn opens_over_lines(start: &[u8]) -> bool {
    let text = start.trim_ascii_start();
    let first_line = text.split(|byte| *byte == b'\n').next();
    first_line.is_some_and(|line| line.trim_ascii() == b"{" && line.len() < text.len())
}

/// A reader of the uncompressed bytes.
///
/// # Errors
/// When the decompressor cannot be set up. Damage shows while reading.
pub fn decode<'r>(
    reader: Box<dyn Read + Send + 'r>,
    encoding: Encoding,
) -> std::io::Result<Box<dyn Read + Send + 'r>> {
    Ok(match encoding {
        Encoding::Identity => reader,
        Encoding::Gzip => Box::new(flate2::read::MultiGzDecoder::new(reader)),
        Encoding::Zstd => Box::new(zstd::stream::read::Decoder::new(reader)?),
    })
}
