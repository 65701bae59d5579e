//! Which format and compression some bytes have.

use std::io::Read;

use crate::GzipReader;

/// Wire format of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Ndjson,
    /// JSON arrays, or objects that go over several lines each, one behind the other.
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

impl Encoding {
    fn name(self) -> &'static str {
        match self {
            Encoding::Identity => "plain",
            Encoding::Gzip => "gzip",
            Encoding::Zstd => "zstd",
        }
    }
}

/// What content is that holds no events as it is, and what to do about it; `start` are its first
/// bytes, after they were decompressed as `encoding` says.
pub fn sniff_foreign(start: &[u8], encoding: Encoding) -> Option<String> {
    let inner = sniff_encoding(start);
    if encoding != Encoding::Identity && inner != Encoding::Identity {
        let (outer, inner) = (encoding.name(), inner.name());
        return Some(format!("is compressed twice ({inner} within {outer}); decompress it once"));
    }
    let (what, cure) = match start {
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => ("a zip archive", UNPACK),
        [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, 0x53, 0x59, ..] => {
            ("compressed with bzip2", UNPACK)
        }
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => ("compressed with xz", UNPACK),
        [b'7', b'z', 0xbc, 0xaf, 0x27, 0x1c, ..] => ("a 7z archive", UNPACK),
        [b'R', b'a', b'r', b'!', 0x1a, 7, ..] => ("a RAR archive", UNPACK),
        _ if start.get(257..262) == Some(b"ustar") => ("a tar archive", UNPACK),
        [b'P', b'A', b'R', b'1', ..] => ("a Parquet file", CONVERT),
        [b'O', b'b', b'j', 1, ..] => ("an Avro file", CONVERT),
        _ if start.starts_with(b"SQLite format 3\0") => ("an SQLite database", CONVERT),
        _ => return None,
    };
    Some(format!("is {what}; {cure}"))
}

const UNPACK: &str = "unpack it, or compress the files in it with gzip or zstd";
const CONVERT: &str = "convert it to CSV or NDJSON";

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
    let first_line = text.split(|byte| matches!(byte, b'\n' | b'\r')).next();
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
        Encoding::Gzip => Box::new(GzipReader::new(reader)),
        Encoding::Zstd => Box::new(zstd::stream::read::Decoder::new(reader)?),
    })
}
