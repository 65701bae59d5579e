//! How streams are split into records, and how they are told apart.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

use std::io::{self, Read, Write};

use adpipe_event::{
    CSV_HEADER, Encoding, Format, HeaderError, ReadError, RecordReader, decode, sniff_encoding, sniff_format,
};

fn records(text: &str, format: Format) -> Vec<(String, u64)> {
    let mut reader = RecordReader::new(text.as_bytes(), format, 1_000_000);
    let mut found = Vec::new();
    while let Some(record) = reader.next_record().unwrap() {
        assert_eq!(record.truncated_from, None);
        let start = record.byte_offset as usize;
        assert_eq!(&text.as_bytes()[start..start + record.payload.len()], record.payload);
        found.push((String::from_utf8(record.payload.to_vec()).unwrap(), record.row));
    }
    assert!(reader.next_record().unwrap().is_none(), "the end stays the end");
    found
}

fn payloads(text: &str, format: Format) -> Vec<String> {
    records(text, format).into_iter().map(|(payload, _)| payload).collect()
}

#[test]
fn lines() {
    let text = "\u{feff}{\"a\":1}\r\n\n  \r\n{\"b\n\"c\"}\n {\"d\":2} ";
    let expected = [("{\"a\":1}", 1), ("{\"b", 4), ("\"c\"}", 5), (" {\"d\":2} ", 6)];
    assert_eq!(records(text, Format::Ndjson), expected.map(|(payload, row)| (payload.to_owned(), row)));
    assert!(payloads("", Format::Ndjson).is_empty());
    assert!(payloads("\u{feff}\n\r\n", Format::Ndjson).is_empty());
    assert_eq!(payloads("a\r", Format::Ndjson), ["a"]);
}

#[test]
fn csv_rows_after_the_header() {
    let text = format!("\u{feff}\r\n{CSV_HEADER}\r\n1,\"2\n\n3,4");
    assert_eq!(records(&text, Format::Csv), [("1,\"2".to_owned(), 3), ("3,4".to_owned(), 5)]);

    let mut reader = RecordReader::new(text.as_bytes(), Format::Csv, 1_000);
    assert_eq!(reader.columns().unwrap().unwrap().wire(), CSV_HEADER);
    assert_eq!(reader.next_record().unwrap().unwrap().payload, b"1,\"2");
    assert!(reader.columns().unwrap().is_some());
    assert_eq!(reader.next_record().unwrap().unwrap().payload, b"3,4");
}

#[test]
fn csv_without_header_is_refused_at_every_call() {
    let mut reader = RecordReader::new(&b"1,0,14102100\n2,0,14102100\n"[..], Format::Csv, 1_000);
    for _ in 0..2 {
        assert!(matches!(reader.next_record(), Err(ReadError::Header(HeaderError::Missing(..)))));
    }
    let mut empty = RecordReader::new(&b"\n"[..], Format::Csv, 1_000);
    assert!(empty.columns().unwrap().is_none());
    assert!(empty.next_record().unwrap().is_none());
}

#[test]
fn arrays() {
    let of = |text: &str| payloads(text, Format::JsonArray);
    assert_eq!(
        of(" [ {\"a\":\"],}\\\"\"} ,\n[1,{\"b\":[]}], 2 ] \n"),
        ["{\"a\":\"],}\\\"\"}", "[1,{\"b\":[]}]", "2"]
    );
    assert!(of("").is_empty());
    assert!(of("[]").is_empty());
    assert!(of(" [ ] ").is_empty());
    assert_eq!(of("{\n\"a\": 1\n}\n"), ["{\n\"a\": 1\n}"]);
    assert_eq!(records("[1,2]", Format::JsonArray), [("1".to_owned(), 1), ("2".to_owned(), 2)]);
}

#[test]
fn nothing_of_a_broken_array_is_lost() {
    let of = |text: &str| payloads(text, Format::JsonArray);
    assert_eq!(of("[{\"a\":1},{\"b\":"), ["{\"a\":1}", "{\"b\":"]);
    assert_eq!(of("[{\"a\":1},"), ["{\"a\":1}", ""]);
    assert_eq!(of("[1,,2,]"), ["1", "", "2", ""]);
    assert_eq!(of("[1] [2]\n x "), ["1", "[2]\n x"]);
    assert_eq!(of("{\"a\":1}{\"b\":2}"), ["{\"a\":1}", "{\"b\":2}"]);
    assert_eq!(of("{\n\"a\":{}}\n{\n\"b\":\"}\"\n}\n"), ["{\n\"a\":{}}", "{\n\"b\":\"}\"\n}"]);
    assert_eq!(of("{\"a\":1}\n{\"b\":"), ["{\"a\":1}", "{\"b\":"]);
    assert_eq!(of("id,click\n1,2"), ["id,click\n1,2"]);
    // Wrong brackets and an open string spoil one element.
    assert_eq!(of("[{\"a\":1],{\"b\":2}]"), ["{\"a\":1]", "{\"b\":2}"]);
    assert_eq!(of("[\n{\"a\":\"x},\n{\"b\":2},\n3]"), ["{\"a\":\"x},\n{\"b\":2},\n3]"]);
    assert_eq!(of("[\n\"x,\n2]"), ["\"x,\n2]"]);
}

#[test]
fn long_records_are_cut_and_counted() {
    let long = "x".repeat(3_000_000);
    for (text, format, row) in [
        (format!("a\n{long}\nb\n"), Format::Ndjson, 2),
        (format!("[1, \"{}\", 2]", &long[2..]), Format::JsonArray, 2),
    ] {
        let mut reader = RecordReader::new(text.as_bytes(), format, 100_000);
        reader.next_record().unwrap().unwrap();
        let record = reader.next_record().unwrap().unwrap();
        assert_eq!((record.payload.len(), record.row), (64 * 1024, row));
        assert_eq!(record.truncated_from, Some(3_000_000));
        assert_eq!(reader.next_record().unwrap().unwrap().payload.len(), 1);
        assert!(reader.next_record().unwrap().is_none());
    }
    let mut reader = RecordReader::new(&b"12345\r\n123456\n"[..], Format::Ndjson, 5);
    let first = reader.next_record().unwrap().unwrap();
    assert_eq!((first.payload, first.truncated_from), (&b"12345"[..], None));
    let second = reader.next_record().unwrap().unwrap();
    assert_eq!((second.payload, second.truncated_from), (&b"12345"[..], Some(6)));
}

/// Fails after its first bytes.
struct Failing<'a>(&'a [u8]);

impl Read for Failing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(io::Error::other("cable pulled")),
            count => Ok(count),
        }
    }
}

#[test]
fn a_failed_stream_is_never_taken_for_its_end() {
    let text = vec![b'x'; 1_000_000];
    for format in [Format::Ndjson, Format::JsonArray, Format::Csv] {
        let mut reader = RecordReader::new(Failing(&text), format, 1_000);
        for _ in 0..3 {
            assert!(matches!(reader.next_record(), Err(ReadError::Io(_))));
        }
    }
}

#[test]
fn sniffing() {
    assert_eq!(sniff_format(b"\xef\xbb\xbf\r\n ["), Some(Format::JsonArray));
    assert_eq!(sniff_format(b"\t{"), Some(Format::Ndjson));
    assert_eq!(sniff_format(b" {\r\n  \"id\": 1"), Some(Format::JsonArray));
    assert_eq!(sniff_format(b"id,click"), Some(Format::Csv));
    assert_eq!(sniff_format(b"\xef\xbb\xbf \n"), None);
    assert_eq!(sniff_encoding(b"{"), Encoding::Identity);
    assert_eq!(sniff_encoding(b""), Encoding::Identity);
}

fn decoded(bytes: &[u8]) -> io::Result<String> {
    let mut text = String::new();
    decode(Box::new(bytes), sniff_encoding(bytes))?.read_to_string(&mut text)?;
    Ok(text)
}

#[test]
fn decoding_takes_all_members_and_frames() {
    let mut gzip = Vec::new();
    let mut zstd = Vec::new();
    for part in ["one\n", "two\n"] {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(part.as_bytes()).unwrap();
        gzip.extend(encoder.finish().unwrap());
        zstd.extend(zstd::encode_all(part.as_bytes(), 1).unwrap());
    }
    assert_eq!(decoded(&gzip).unwrap(), "one\ntwo\n");
    assert_eq!(decoded(&zstd).unwrap(), "one\ntwo\n");
    assert_eq!(decoded(b"plain").unwrap(), "plain");
    assert!(decoded(&gzip[..gzip.len() - 3]).is_err());
    assert!(decoded(&zstd[..zstd.len() - 3]).is_err());
}
