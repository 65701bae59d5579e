//! Input that holds no events as it is: recognised by its first bytes, and named with what to do.

use crate::{Encoding, sniff_encoding};

const UNPACK: &str = "unpack it, or compress the files in it with gzip or zstd";
const RECOMPRESS: &str = "decompress it, or compress it with gzip or zstd instead";
const CONVERT: &str = "convert it to CSV or NDJSON";
const SPREADSHEET: &str = "save the sheet as CSV (UTF-8)";
const TO_UTF8: &str = "save it as UTF-8, for example with `iconv -f UTF-16 -t UTF-8`";
const WIDER_TO_UTF8: &str = "save it as UTF-8, for example with `iconv -f UTF-32 -t UTF-8`";
const SEQUENCE: &str = "remove the separators (0x1e), for example with `tr -d '\\036'`";
const CONFLUENT: &str = "send plain JSON with a serializer that does not use a schema registry, or remove the first 5 bytes of each message";
const MULTIPART: &str =
    "send the events themselves as the body, as `curl --data-binary @FILE` does and `-F` does not";
const AS_IT_IS: &str = "send it as it is, as `curl --data-binary @FILE` does";
const AS_JSON: &str = "send JSON instead";

/// Bytes in which the headers of a part of multipart are looked for.
const PART_HEADERS: usize = 1 << 10;

/// What content without events is, and what to do about it; `start` are its first bytes, after they
/// were decompressed as `encoding` says. A sentence without its subject: "is a zip archive; unpack it".
pub fn sniff_foreign(start: &[u8], encoding: Encoding) -> Option<String> {
    let inner = sniff_encoding(start);
    if encoding != Encoding::Identity && inner != Encoding::Identity {
        let (outer, inner) = (encoding.name(), inner.name());
        return Some(format!("is compressed twice ({inner} within {outer}); decompress it once"));
    }
    sniff_wide_text(start).or_else(|| {
        let (what, cure) = packed(start).or_else(|| binary(start)).or_else(|| text(start))?;
        Some(format!("is {what}; {cure}"))
    })
}

/// The same of one record. It may also be compressed by itself.
pub(crate) fn sniff_foreign_record(record: &[u8]) -> Option<String> {
    match sniff_encoding(record) {
        Encoding::Identity => sniff_foreign(record, Encoding::Identity),
        encoding => Some(format!(
            "is compressed with {}; send each event as plain JSON, and let the client compress whole batches",
            encoding.name()
        )),
    }
}

/// Text in units of two or four bytes, with its byte order mark or without.
pub(crate) fn sniff_wide_text(start: &[u8]) -> Option<String> {
    let is_ascii = |byte: &u8| matches!(byte, b'\t'..=b'~');
    let units = |zero: &[usize], width: usize| {
        start.len() >= 2 * width
            && start
                .iter()
                .take(4 * width)
                .enumerate()
                .all(|(at, byte)| if zero.contains(&(at % width)) { *byte == 0 } else { is_ascii(byte) })
    };
    let (what, cure) = match start {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => ("UTF-32 text", WIDER_TO_UTF8),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => ("UTF-16 text", TO_UTF8),
        _ if units(&[1, 2, 3], 4) || units(&[0, 1, 2], 4) => ("UTF-32 text", WIDER_TO_UTF8),
        _ if units(&[1], 2) => {
            ("UTF-16 text", "save it as UTF-8, for example with `iconv -f UTF-16LE -t UTF-8`")
        }
        _ if units(&[0], 2) => {
            ("UTF-16 text", "save it as UTF-8, for example with `iconv -f UTF-16BE -t UTF-8`")
        }
        _ => return None,
    };
    Some(format!("is {what}; {cure}"))
}

type Named = (&'static str, &'static str);

/// Archives, and compressions that adpipe does not read.
fn packed(start: &[u8]) -> Option<Named> {
    Some(match start {
        [b'P', b'K', 3, 4, ..] if is_spreadsheet(start) => ("a spreadsheet file", SPREADSHEET),
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] | [b'P', b'K', 7, 8, ..] => ("a zip archive", UNPACK),
        [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, 0x53, 0x59, ..] => {
            ("compressed with bzip2", RECOMPRESS)
        }
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => ("compressed with xz", RECOMPRESS),
        [0x04, 0x22, 0x4d, 0x18, ..] => ("compressed with lz4", RECOMPRESS),
        [0xff, 6, 0, 0, b's', b'N', b'a', b'P', b'p', b'Y', ..] => ("compressed with snappy", RECOMPRESS),
        [0x1f, 0x9d, ..] => ("compressed with compress (.Z)", RECOMPRESS),
        [b'L', b'Z', b'I', b'P', 1, ..] => ("compressed with lzip", RECOMPRESS),
        [0x78, 0x01 | 0x9c | 0xda, ..] => ("compressed with zlib (deflate)", RECOMPRESS),
        [b'7', b'z', 0xbc, 0xaf, 0x27, 0x1c, ..] => ("a 7z archive", UNPACK),
        [b'R', b'a', b'r', b'!', 0x1a, 7, ..] => ("a RAR archive", UNPACK),
        _ if start.get(257..262) == Some(b"ustar") => ("a tar archive", UNPACK),
        _ => return None,
    })
}

/// A zip archive as spreadsheet programs write it, by the name of its first file.
fn is_spreadsheet(start: &[u8]) -> bool {
    let Some(name) = start.get(30..) else { return false };
    let of_excel: [&[u8]; 4] = [b"[Content_Types].xml", b"_rels/", b"docProps/", b"xl/"];
    of_excel.iter().any(|first| name.starts_with(first))
        || name.starts_with(b"mimetypeapplication/vnd.oasis.opendocument.spreadsheet")
}

/// Formats of other programs.
fn binary(start: &[u8]) -> Option<Named> {
    Some(match start {
        [b'P', b'A', b'R', b'1', ..] => ("a Parquet file", CONVERT),
        [b'O', b'b', b'j', 1, ..] => ("an Avro file", CONVERT),
        [b'O', b'R', b'C', next, ..] if !next.is_ascii_graphic() => ("an ORC file", CONVERT),
        [b'A', b'R', b'R', b'O', b'W', b'1', ..] => ("an Arrow file", CONVERT),
        [0x89, b'H', b'D', b'F', ..] => ("an HDF5 file", CONVERT),
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => ("a NumPy file", CONVERT),
        [0x80, 2..=5, 0x95 | b'}' | b']' | b'c', ..] => ("a Python pickle", CONVERT),
        [0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1, ..] => ("a spreadsheet file", SPREADSHEET),
        [0xc3, 1, ..] => ("an Avro message", AS_JSON),
        [0xd9, 0xd9, 0xf7, ..] => ("CBOR", AS_JSON),
        _ if start.starts_with(b"SQLite format 3\0") => ("an SQLite database", CONVERT),
        _ if start.starts_with(b"PGCOPY\n\xff\r\n\0") => {
            ("a binary COPY of PostgreSQL", "use COPY … WITH (FORMAT csv, HEADER)")
        }
        _ if start.starts_with(b"PGDMP") => ("a dump of PostgreSQL", "use COPY … WITH (FORMAT csv, HEADER)"),
        _ if start.get(5..9) == Some(b"_id\0") => ("BSON", CONVERT),
        [0x1e, ..] => ("a sequence of JSON texts with record separators (RFC 7464)", SEQUENCE),
        [0, 0, 0, 0, 0, 0, 0, 0, ..] => (
            "filled with zero bytes at its beginning, as by a rotation or a crash",
            "remove them, for example with `tr -d '\\000'`, or take another copy",
        ),
        [0, _, _, _, _, _, ..] => ("a message with Confluent's magic byte and schema id in front", CONFLUENT),
        _ if is_msgpack(start) => ("MessagePack", AS_JSON),
        _ => return None,
    })
}

/// A map with text for its first key, or an array of such maps or of texts. Text never begins so.
fn is_msgpack(start: &[u8]) -> bool {
    let is_text = |byte: u8| matches!(byte, 0xa0..=0xbf | 0xd9..=0xdb);
    let is_map = |byte: u8| matches!(byte, 0x80..=0x8f | 0xde | 0xdf);
    match start {
        [0x81..=0x8f, key, ..] | [0xde, 0, _, key, ..] | [0xdf, 0, 0, _, _, key, ..] => is_text(*key),
        [0x91..=0x9f, first, ..] | [0xdc, 0, _, first, ..] | [0xdd, 0, 0, _, _, first, ..] => {
            is_map(*first) || is_text(*first)
        }
        _ => false,
    }
}

/// Text that is something else.
fn text(start: &[u8]) -> Option<Named> {
    let text = start.trim_ascii_start();
    let begins = |word: &[u8]| text.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word));
    Some(match text.first()? {
        b'<' if begins(b"<!doctype html") || begins(b"<html") => {
            ("an HTML page", "it comes from a server or proxy instead of the file; fetch the file again")
        }
        b'<' if begins(b"<?xml") => ("XML", CONVERT),
        b'%' if begins(b"%pdf-") => ("a PDF file", CONVERT),
        b'%' if begins(b"%7B") || begins(b"%5B") => ("percent-encoded", AS_IT_IS),
        b'-' if is_multipart(text) => ("a multipart body", MULTIPART),
        b'-' if begins(b"-----BEGIN PGP MESSAGE") => ("encrypted with PGP", "decrypt it first"),
        b'v' if begins(b"version https://git-lfs") => {
            ("a pointer of Git LFS and not the file", "fetch the file with `git lfs pull`")
        }
        _ => return None,
    })
}

fn is_multipart(text: &[u8]) -> bool {
    const NAME: &[u8] = b"content-disposition:";
    let head = &text[..text.len().min(PART_HEADERS)];
    text.starts_with(b"--")
        && head
            .split(|byte| *byte == b'\n')
            .skip(1)
            .any(|line| line.get(..NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(NAME)))
}
