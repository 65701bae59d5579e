//! Files that people write.

use std::io;
use std::path::Path;

/// The text of a file: UTF-8, with or without the byte order mark that Windows programs put in front.
///
/// # Errors
/// When it cannot be read; what is not UTF-8 is named with what to do.
pub fn read(path: &Path) -> io::Result<String> {
    decode(std::fs::read(path)?)
}

/// The same of bytes that were read already.
///
/// # Errors
/// What is not UTF-8 is named with what to do.
pub fn decode(bytes: Vec<u8>) -> io::Result<String> {
    adpipe_event::decode_text(bytes).map_err(|reason| io::Error::new(io::ErrorKind::InvalidData, reason))
}
