//! The bytes of a body as its sender had them, bounded however few were sent.

use std::io::{ErrorKind, Read};

use adpipe_event::{Encoding, GzipReader, sniff_encoding, sniff_foreign};
use axum::http::StatusCode;

use super::reading::{Reading, bad, foreign};
use crate::http::{ReceivedBody, Refusal};

/// The window of a Zstandard frame is allocated by its reader, so its size is limited: 8 MiB,
/// what the format's description (RFC 8878, 3.1.1.1.2) asks every reader to take.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

pub(super) fn decompressed<'b>(
    body: &'b ReceivedBody,
    reading: &Reading,
) -> Result<Box<dyn Read + 'b>, Refusal> {
    if reading.encoding != Encoding::Identity && sniff_encoding(body.start()) != reading.encoding {
        return Err(not_as_declared(body.start(), reading.encoding));
    }
    let received = body.reader();
    let bytes: Box<dyn Read + 'b> = match reading.encoding {
        Encoding::Identity => return Ok(Box::new(received)),
        Encoding::Gzip => Box::new(GzipReader::new(received)),
        Encoding::Zstd => {
            let mut decoder =
                zstd::stream::read::Decoder::new(received).map_err(|error| Refusal::internal(&error))?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(|error| Refusal::internal(&error))?;
            Box::new(decoder)
        }
    };
    Ok(Box::new(Limited { bytes, left: reading.max_decompressed_bytes }))
}

/// Fails once more than `left` bytes come out: some kilobytes can be made to unpack to gigabytes.
struct Limited<R> {
    bytes: R,
    left: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let count = self.bytes.read(into)?;
        self.left = self.left.checked_sub(count as u64).ok_or(ErrorKind::FileTooLarge)?;
        Ok(count)
    }
}

/// Why the bytes of a body cannot be read on.
pub(super) fn io_refusal(error: &std::io::Error, reading: &Reading) -> Refusal {
    if error.kind() == ErrorKind::FileTooLarge {
        let limit = reading.max_decompressed_bytes;
        let message = format!("the body is longer than {limit} bytes when decompressed; send it in parts");
        return Refusal::wrong(StatusCode::PAYLOAD_TOO_LARGE, message);
    }
    let name = encoding_name(reading.encoding);
    bad(format!("the body cannot be read with {name} compression: {error}"))
}

/// A body that is not compressed as `content-encoding` says.
fn not_as_declared(start: &[u8], declared: Encoding) -> Refusal {
    if let Some(reason) = sniff_foreign(start, Encoding::Identity) {
        return foreign(&reason);
    }
    let name = encoding_name(declared);
    bad(format!(
        "content-encoding says {name} and the body is not {name} data; compress it, or leave the header out"
    ))
}

fn encoding_name(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Gzip => "gzip",
        Encoding::Zstd => "zstd",
        Encoding::Identity => "no",
    }
}
