//! How streams are split into records, and how they are told apart.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

use std::io::{self, Read, Write};

use adpipe_event::{
    CSV_HEADER, Encoding, Format, HeaderError, ReadError, RecordReader, decode, sniff_encoding,
    sniff_foreign, sniff_format,
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
    assert_eq!(of("[1] [2]\n x "), ["1", "2", "x"]);
    assert_eq!(of("[1] x [2]"), ["1", "x [2]"]);
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
fn arrays_and_objects_follow_one_another() {
    let of = |text: &str| payloads(text, Format::JsonArray);
    assert_eq!(of("[1,2][3]\n[ ]\r[4]{\"a\":5}[6] "), ["1", "2", "3", "4", "{\"a\":5}", "6"]);
    assert_eq!(of("{\n\"a\":1}[2,3]{\"b\":4}"), ["{\n\"a\":1}", "2", "3", "{\"b\":4}"]);
}

#[test]
fn objects_one_behind_the_other_are_a_record_each() {
    let of = |text: &str| payloads(text, Format::Ndjson);
    assert_eq!(of(r#"{"a":1}{"b":2} {"c":3}"#), [r#"{"a":1}"#, r#"{"b":2}"#, r#"{"c":3}"#]);
    assert_eq!(of("{\"a\":1}\r{\"b\":2}\t\r\n{\"c\":3}\r"), ["{\"a\":1}", "{\"b\":2}\t", "{\"c\":3}"]);
    // Nested ones, strings that look like it, and keys by which it cannot be seen at once.
    let odd = [
        r#"{"a":{"b":{}},"c":[{},{"d":1}]}"#,
        r#"{"e":"}{","f":"}{\"x","g":1}"#,
        "{}",
        r#"{"":1}"#,
        r#"{":":2}"#,
    ];
    assert_eq!(of(&odd.concat()), odd);
    assert_eq!(of(&odd.join(" ")), odd);
    // Each has a row of its own, and blank lines count.
    let rows: Vec<u64> =
        records("{\"a\":1}{\"b\":2}\n\n{\"c\":3}", Format::Ndjson).into_iter().map(|found| found.1).collect();
    assert_eq!(rows, [1, 2, 4]);
    // One that is damaged spoils itself alone, and what is not an object stays one line.
    assert_eq!(of(r#"{"a":"x}{"b":2}{"c":3}"#), [r#"{"a":"x}"#, r#"{"b":2}"#, r#"{"c":3}"#]);
    assert_eq!(of(r#"r":"14"}{"b":2}"#), [r#"r":"14"}"#, r#"{"b":2}"#]);
    assert_eq!(of("{\"a\":1} x\n{\"b\":2},{\"c\":3}\n"), ["{\"a\":1} x", "{\"b\":2},{\"c\":3}"]);
}

#[test]
fn the_limit_is_that_of_an_object_and_not_of_a_line() {
    let small = r#"{"id":1}"#.repeat(10_000);
    let big = format!("{{\"b\":\"{}\",\"c\":{{}}}}", "}{".repeat(70_000));
    let text = format!("{small}{big}{small}{{\"d\":{big}}}\n{small}");
    let mut reader = RecordReader::new(text.as_bytes(), Format::Ndjson, 100_000);
    let (mut whole, mut cut) = (0, Vec::new());
    while let Some(record) = reader.next_record().unwrap() {
        match record.truncated_from {
            None => {
                assert_eq!(record.payload, br#"{"id":1}"#);
                whole += 1;
            }
            Some(length) => cut.push((record.row, length)),
        }
    }
    assert_eq!(whole, 30_000);
    assert_eq!(cut, [(10_001, big.len() as u64), (20_002, big.len() as u64 + 6)]);
    assert_eq!(reader.too_long(), 2);
}

#[test]
fn white_space_behind_an_object_makes_it_no_longer() {
    let space = " \t".repeat(50);
    for behind in [String::new(), "\n".to_owned(), "{".to_owned(), "{\"".to_owned(), "{\"b\":2}".to_owned()] {
        let text = format!("{{\"a\":{{}}}}{space}{behind}");
        let mut reader = RecordReader::new(text.as_bytes(), Format::Ndjson, 8);
        let record = reader.next_record().unwrap().unwrap();
        assert_eq!((record.payload, record.truncated_from), (&br#"{"a":{}}"#[..], None), "{behind:?}");
    }
}

#[test]
fn a_lone_carriage_return_ends_a_row_of_csv() {
    let of = |rows: &str| payloads(&format!("{CSV_HEADER}\r{rows}"), Format::Csv);
    assert_eq!(of("1,a\r2,b\r3,c"), ["1,a", "2,b", "3,c"]);
    assert_eq!(of("1,a\r2,b\n3,c\r\n4,d\r\r\n5,e\r"), ["1,a", "2,b", "3,c", "4,d", "5,e"]);
    // Within quotes it is data; a quote that is not closed spoils its own row.
    assert_eq!(
        of("1,\"a\rb\",c\r2,\"a\"\"\r\"\"\"\r3,\"x\r\ry\""),
        ["1,\"a\rb\",c", "2,\"a\"\"\r\"\"\"", "3,\"x\r\ry\""]
    );
    assert_eq!(of("1,\"a\r2,b\r3,\"c\"\r4,d"), ["1,\"a", "2,b", "3,\"c\"", "4,d"]);
    assert_eq!(of("1,\"a\r2,b\n3,\"c\"\r"), ["1,\"a", "2,b", "3,\"c\""]);
    assert_eq!(of("1,a\"\r\"b\"x\r2,y"), ["1,a\"", "\"b\"x", "2,y"]);
    let long = "y".repeat(300_000);
    let text = format!("{CSV_HEADER}\r1,{long}\r2,b\r");
    let mut reader = RecordReader::new(text.as_bytes(), Format::Csv, 100_000);
    assert_eq!(reader.next_record().unwrap().unwrap().truncated_from, Some(300_002));
    assert_eq!(reader.next_record().unwrap().unwrap().payload, b"2,b");
    assert!(reader.next_record().unwrap().is_none());
    assert_eq!((reader.too_long(), reader.ended_rows()), (1, 3));
}

/// Pauses before each piece.
struct Pausing<'a> {
    pieces: std::slice::Chunks<'a, u8>,
    has_paused: bool,
}

impl Read for Pausing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.has_paused = !self.has_paused;
        if self.has_paused {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let piece = self.pieces.next().unwrap_or_default();
        buffer[..piece.len()].copy_from_slice(piece);
        Ok(piece.len())
    }
}

fn all<R: Read>(mut reader: RecordReader<R>) -> Vec<(Vec<u8>, u64, Option<u64>)> {
    let mut found = Vec::new();
    loop {
        match reader.next_record() {
            Ok(Some(record)) => found.push((record.payload.to_vec(), record.row, record.truncated_from)),
            Ok(None) => return found,
            Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::TimedOut => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn pauses_of_a_live_input_lose_nothing() {
    let long = "z".repeat(50);
    for (text, format) in [
        (format!("{{\"a\":1}}{{\"b\":\"{long}\"}}\r\n{{\"c\":3}}"), Format::Ndjson),
        (format!("[1, \"{long}\", 2] [3]\n{{\"d\":[4]}}"), Format::JsonArray),
        (format!("{CSV_HEADER}\r1,\"a\rb\"\r{long}{long}{long}{long}{long}{long}\r\n2"), Format::Csv),
    ] {
        let limit = if format == Format::Csv { 240 } else { 40 };
        let whole = all(RecordReader::new(text.as_bytes(), format, limit));
        assert!(whole.len() >= 3 && whole.iter().any(|record| record.2.is_some()), "{whole:?}");
        for size in 1..=text.len() {
            let pausing = Pausing { pieces: text.as_bytes().chunks(size), has_paused: false };
            assert_eq!(all(RecordReader::new(pausing, format, limit)), whole, "pieces of {size}");
        }
    }
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

/// Counts the bytes that were read from it.
struct Counting<'a> {
    bytes: &'a [u8],
    count: &'a std::cell::Cell<usize>,
}

impl Read for Counting<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.bytes.read(into)?;
        self.count.set(self.count.get() + count);
        Ok(count)
    }
}

#[test]
fn long_records_are_not_read_far_ahead() {
    const MOST_AHEAD: usize = 512 << 10;
    let long = format!("{{\"id\":\"2\",\"x\":\"{}\"}}", "y".repeat(5_000));
    let lines = [long.as_str(); 2_000].join("\n");
    let array = format!("[{}]", [long.as_str(); 2_000].join(","));
    for (format, text) in [(Format::Ndjson, &lines), (Format::Csv, &lines), (Format::JsonArray, &array)] {
        let count = std::cell::Cell::new(0);
        let counting = Counting { bytes: text.as_bytes(), count: &count };
        let mut reader = RecordReader::continuing(counting, format, 1_000);
        let mut records = 0;
        while reader.next_record().unwrap().is_some() {
            let ahead = count.get() - reader.position() as usize;
            assert!(ahead < MOST_AHEAD, "{format:?}: {ahead} bytes are held behind record {records}");
            records += 1;
        }
        assert_eq!(records, 2_000, "{format:?}");
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

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn what_follows_gzip_data() {
    for padding in [1, 511, 300_000] {
        let padded = [gzip(b"one\n"), vec![0; padding], gzip(b"two\n"), vec![0; padding]].concat();
        assert_eq!(decoded(&padded).unwrap(), "one\ntwo\n", "{padding} zeros");
    }
    let first = gzip(b"one\n");
    for rest in [&b"id,click\n"[..], &[0, 0, 7], &[0x1f, 0x8b, 8], &[0x1f]] {
        let damaged = [&first, rest].concat();
        let mut text = Vec::new();
        let failed = decode(Box::new(&damaged[..]), Encoding::Gzip).unwrap().read_to_end(&mut text);
        assert_eq!(text, b"one\n", "what comes before it is sound");
        let error = failed.unwrap_err().to_string();
        let is_named = error.contains(&format!("ends at byte {}", first.len()));
        assert_eq!(is_named, rest[0] != 0x1f && rest[0] != 0, "{error}");
    }
    // A pause in the middle of a member, or of its header, is none of its end.
    let members = [gzip(b"one\n"), vec![0; 5], gzip(b"two\n")].concat();
    for size in 1..=members.len() {
        let pausing = Pausing { pieces: members.chunks(size), has_paused: false };
        let mut reader = adpipe_event::GzipReader::new(pausing);
        let mut text = Vec::new();
        while let Err(error) = reader.read_to_end(&mut text) {
            assert_eq!(error.kind(), io::ErrorKind::TimedOut, "pieces of {size}");
        }
        assert_eq!(text, b"one\ntwo\n", "pieces of {size}");
    }
}

#[test]
fn foreign_content_is_named() {
    let twice = gzip(&gzip(b"one\n"));
    let inner = gzip(b"one\n");
    assert_eq!(sniff_foreign(&twice, Encoding::Identity), None);
    assert!(sniff_foreign(&inner, Encoding::Gzip).unwrap().contains("gzip within gzip"));
    let inner = zstd::encode_all(&b"one"[..], 1).unwrap();
    assert!(sniff_foreign(&inner, Encoding::Gzip).unwrap().contains("zstd within gzip"));
    for (start, name) in
        [(&b"PK\x03\x04.."[..], "zip archive"), (b"PAR1....", "Parquet"), (b"\xfd7zXZ\0", "xz")]
    {
        assert!(sniff_foreign(start, Encoding::Identity).unwrap().contains(name));
    }
    assert_eq!(sniff_foreign(b"{\"id\":1}", Encoding::Gzip), None);
}
