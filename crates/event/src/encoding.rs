//! Which compression some bytes have, and reading through it.

use std::io::Read;

use crate::GzipReader;

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
    pub(crate) fn name(self) -> &'static str {
        match self {
            Encoding::Identity => "plain",
            Encoding::Gzip => "gzip",
            Encoding::Zstd => "zstd",
        }
    }
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
