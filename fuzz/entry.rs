//! What every fuzzer runs: bytes from outside are judged, never panicked over, and what is taken for
//! an event survives being written and read again. `fuzz_targets/records.rs` gives it to libFuzzer,
//! `crates/log/tests/fuzz.rs` to a mutator of its own, without any tool.

use std::io::Read;

use adpipe_event::{
    CSV_HEADER, CsvColumns, Format, Millis, Parser, RecordReader, Rules, csv_cells, decode, find_format,
    read_start, record_id, sniff_encoding, sniff_foreign,
};

const NOW: Millis = Millis(4_102_444_800_000);

/// Records that are longer are given as their beginning.
const MOST_RECORD_BYTES: usize = 64;

/// Of what a few bytes unpack to, so much is read.
const MOST_UNPACKED: u64 = 1 << 20;

/// Has every reader of bytes from outside read these.
pub fn run(bytes: &[u8]) {
    judge_json(bytes);
    let ours = CsvColumns::parse(CSV_HEADER.as_bytes()).expect("our own header");
    judge_csv(&ours, bytes);
    // A file of its own: the first line is the header, the others are rows.
    let mut lines = bytes.splitn(2, |byte| *byte == b'\n');
    if let (Some(header), Some(rows)) = (lines.next(), lines.next())
        && let Ok(columns) = CsvColumns::parse(header)
    {
        assert_eq!(
            CsvColumns::parse(columns.wire().as_bytes()).as_ref(),
            Ok(&columns),
            "a header read again"
        );
        judge_csv(&columns, rows);
    }
    let _ = csv_cells(bytes);
    for format in [Format::Ndjson, Format::JsonArray, Format::Csv] {
        let whole = split(bytes, format);
        let pieces = split(Pieces { rest: bytes, size: 1 + bytes.len() % 7 }, format);
        assert_eq!(whole, pieces, "pieces do not matter");
    }
    let encoding = sniff_encoding(bytes);
    let _ = sniff_foreign(bytes, encoding);
    let start = read_start(&mut Pieces { rest: bytes, size: 1 + bytes.len() % 7 }, || Ok(()));
    let _ = start.map(|start| find_format(&start, Some(Format::Ndjson)));
    if let Ok(unpacked) = decode(Box::new(bytes), encoding) {
        let _ = unpacked.take(MOST_UNPACKED).read_to_end(&mut Vec::new());
    }
    let _ = Millis::parse_sql(&String::from_utf8_lossy(bytes));
    adpipe_log::fuzzing::decode_chunk(bytes);
}

fn judge_json(bytes: &[u8]) {
    let (mut parser, mut reader) = (Parser::new(Rules::default()), Parser::new(Rules::default()));
    let _ = record_id(bytes, None);
    if let Ok(parsed) = parser.parse_json(bytes, NOW) {
        let mut line = Vec::new();
        parsed.event.write_json(&mut line);
        assert_eq!(reader.parse_json(&line, NOW).expect("our own json").event, parsed.event);
    }
}

fn judge_csv(columns: &CsvColumns, row: &[u8]) {
    let ours = CsvColumns::parse(CSV_HEADER.as_bytes()).expect("our own header");
    let (mut parser, mut reader) = (Parser::new(Rules::default()), Parser::new(Rules::default()));
    let _ = record_id(row, Some(columns));
    if let Ok(parsed) = parser.parse_csv(columns, row, NOW) {
        let mut line = Vec::new();
        parsed.event.write_csv(&mut line);
        assert_eq!(reader.parse_csv(&ours, &line, NOW).expect("our own csv").event, parsed.event);
    }
}

/// Every record of an input, with where it lay.
type Split = Vec<(Vec<u8>, u64, u64, Option<u64>)>;

fn split(reader: impl Read, format: Format) -> Result<Split, String> {
    let mut records = RecordReader::new(reader, format, MOST_RECORD_BYTES);
    let mut found = Vec::new();
    while let Some(record) = records.next_record().map_err(|error| error.to_string())? {
        // The bracket that ends an object may be the one byte too many.
        assert!(record.payload.len() <= MOST_RECORD_BYTES + usize::from(format == Format::JsonArray));
        found.push((record.payload.to_vec(), record.row, record.byte_offset, record.truncated_from));
    }
    Ok(found)
}

/// Hands out its bytes a few at a time.
struct Pieces<'a> {
    rest: &'a [u8],
    size: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.size.min(buffer.len()).min(self.rest.len());
        buffer[..count].copy_from_slice(&self.rest[..count]);
        self.rest = &self.rest[count..];
        Ok(count)
    }
}
