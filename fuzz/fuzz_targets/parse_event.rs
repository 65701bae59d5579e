//! Arbitrary bytes are judged, never panicked over, and what is taken for an event survives being
//! written and read again: `cargo +nightly fuzz run parse_event`.
#![no_main]

use adpipe_event::{record_id, CsvColumns, Format, Millis, Parser, RecordReader, Rules, CSV_HEADER};
use libfuzzer_sys::fuzz_target;

const NOW: Millis = Millis(4_102_444_800_000);

fuzz_target!(|bytes: &[u8]| {
    let columns = CsvColumns::parse(CSV_HEADER.as_bytes()).expect("our own header");
    let mut parser = Parser::new(Rules::default());
    let mut reader = Parser::new(Rules::default());
    let mut line = Vec::new();

    if let Ok(parsed) = parser.parse_json(bytes, NOW) {
        parsed.event.write_json(&mut line);
        assert_eq!(reader.parse_json(&line, NOW).expect("our own json").event, parsed.event);
    }
    line.clear();
    if let Ok(parsed) = parser.parse_csv(&columns, bytes, NOW) {
        parsed.event.write_csv(&mut line);
        assert_eq!(reader.parse_csv(&columns, &line, NOW).expect("our own csv").event, parsed.event);
    }
    let _ = record_id(bytes, None);
    let _ = record_id(bytes, Some(&columns));
    let _ = CsvColumns::parse(bytes);
    for format in [Format::Ndjson, Format::JsonArray, Format::Csv] {
        let mut records = RecordReader::new(bytes, format, 64);
        while let Ok(Some(record)) = records.next_record() {
            assert!(record.payload.len() <= 64);
        }
    }
});
