//! Bytes to columns: what one thread does with one piece of a file.

use adpipe_event::{
    CsvColumns, ErrorType, EventBatch, EventError, Format, Millis, Parsed, Parser, RecordReader,
};
use adpipe_warehouse::{Counts, IdKey};

use crate::chunks::{Chunk, ChunkKind};
use crate::files::{Tail, TailOutcome};

/// An event with its required fields has no fewer bytes.
const LEAST_EVENT_BYTES: usize = 32;

/// A record that is no event.
#[derive(Debug)]
pub struct FailedRecord {
    /// Its line or element, from 0 at the piece's beginning.
    pub row: u64,
    /// Its bytes, exactly as they lie in the file.
    pub payload: Vec<u8>,
    /// What is wrong with it.
    pub error: EventError,
    /// Its whole length, when only its beginning is kept.
    pub truncated_from: Option<u64>,
}

/// A piece, parsed and validated.
#[derive(Debug)]
pub struct ParsedChunk {
    /// Events that keep all rules.
    pub events: EventBatch,
    /// Their ids, for dedup.
    pub keys: Vec<IdKey>,
    /// The others.
    pub failed: Vec<FailedRecord>,
    /// Account of the records, without what dedup says.
    pub counts: Counts,
    /// Rows of the file that have an end.
    pub rows: u64,
    /// Where the file goes on behind it.
    pub end_position: u64,
    /// The last line, when it has no end.
    pub tail: Option<Tail>,
}

/// Parses a piece. `columns` for CSV, none for JSON.
pub fn parse(
    chunk: &Chunk,
    columns: Option<&CsvColumns>,
    parser: &mut Parser,
    max_record_bytes: usize,
    now: Millis,
) -> ParsedChunk {
    let mut parsed = ParsedChunk {
        events: EventBatch::new(),
        keys: Vec::new(),
        failed: Vec::new(),
        counts: Counts::default(),
        rows: 0,
        end_position: chunk.end_position,
        tail: None,
    };
    match &chunk.kind {
        ChunkKind::Lines { is_first, is_open } => {
            let data = chunk.data.as_slice();
            let format = if columns.is_some() { Format::Csv } else { Format::Ndjson };
            let reader = match (is_first, format) {
                (true, Format::Ndjson) => RecordReader::new(data, format, max_record_bytes),
                // The header of CSV was read before.
                _ => RecordReader::continuing(data, format, max_record_bytes),
            };
            lines(&mut parsed, chunk, reader, *is_open, columns, parser, now);
        }
        ChunkKind::Records { records, rows, open_at } => {
            let mut start = 0;
            let mut last = None;
            for record in records {
                let payload = &chunk.data[start..record.end];
                start = record.end;
                last = Some(parsed.add(payload, record.row, record.truncated_from, columns, parser, now));
            }
            parsed.rows = *rows;
            parsed.tail = open_at.zip(last).map(|(position, outcome)| Tail { position, outcome });
        }
    }
    parsed.keys.extend((0..parsed.events.len()).map(|index| IdKey::of(parsed.events.id(index))));
    parsed
}

fn lines(
    parsed: &mut ParsedChunk,
    chunk: &Chunk,
    mut reader: RecordReader<&[u8]>,
    is_open: bool,
    columns: Option<&CsvColumns>,
    parser: &mut Parser,
    now: Millis,
) {
    let line_ends = memchr::memchr_iter(b'\n', &chunk.data).count();
    // Not for more rows than there can be events: a piece of line ends alone has a million.
    parsed.events = EventBatch::with_capacity(line_ends.min(chunk.data.len() / LEAST_EVENT_BYTES));
    let mut last = None;
    // Reading from memory does not fail.
    while let Ok(Some(record)) = reader.next_record() {
        let row = record.row - 1;
        let outcome = parsed.add(record.payload, row, record.truncated_from, columns, parser, now);
        last = Some((row, record.byte_offset, outcome));
    }
    parsed.rows = reader.ended_rows();
    if let Some((row, byte_offset, outcome)) = last
        && is_open
        && row == parsed.rows
    {
        let chunk_start = chunk.end_position - chunk.data.len() as u64;
        parsed.tail = Some(Tail { position: chunk_start + byte_offset, outcome });
    }
}

impl ParsedChunk {
    fn add(
        &mut self,
        payload: &[u8],
        row: u64,
        truncated_from: Option<u64>,
        columns: Option<&CsvColumns>,
        parser: &mut Parser,
        now: Millis,
    ) -> TailOutcome {
        self.counts.records += 1;
        let outcome: Result<Parsed<'_>, EventError> = match (truncated_from, columns) {
            (Some(length), _) => Err(EventError {
                error_type: ErrorType::Parse,
                field: None,
                message: format!("the record has {length} bytes, more than a record may have"),
            }),
            (None, Some(columns)) => parser.parse_csv(columns, payload, now),
            (None, None) => parser.parse_json(payload, now),
        };
        match outcome {
            Ok(event) => {
                self.counts.float_ids += u64::from(event.warnings.float_id);
                self.counts.unknown_fields += u64::from(event.warnings.unknown_fields);
                self.events.push(&event.event);
                TailOutcome::Event
            }
            Err(error) => {
                let outcome = TailOutcome::Error(Some(error.error_type));
                self.counts.add_invalid(error.error_type);
                self.failed.push(FailedRecord { row, payload: payload.to_vec(), error, truncated_from });
                outcome
            }
        }
    }
}
