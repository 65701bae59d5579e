//! Bytes to columns: what one thread does with one piece of a file.

use std::ops::Range;
use std::sync::Arc;

use adpipe_counting::archived;
use adpipe_event::{
    ContentHasher, ContentSum, CsvColumns, ErrorType, EventBatch, EventError, Format, Millis, Parsed, Parser,
    RecordReader,
};
use adpipe_warehouse::{Counts, IdKey};

use crate::chunks::{Chunk, ChunkKind};
use crate::files::{Tail, TailOutcome};

/// An event with its required fields has no fewer bytes.
const LEAST_EVENT_BYTES: usize = 32;

/// A record that is not an event.
#[derive(Debug)]
pub struct FailedRecord {
    /// Which record of the piece it is, from 0.
    pub record: u64,
    /// Its line or element, from 0 at the piece's beginning.
    pub row: u64,
    /// Its bytes, exactly as they lie in the file.
    pub payload: Vec<u8>,
    /// What is wrong with it.
    pub error: EventError,
    /// Its whole length, when only its beginning is kept.
    pub truncated_from: Option<u64>,
    /// The event's hour, when the error is that its archive cannot be read.
    pub waits_for: Option<Millis>,
}

/// A piece, parsed and validated.
#[derive(Debug)]
pub struct ParsedChunk {
    /// How its lines are split.
    format: Format,
    /// Events that keep all rules.
    pub events: EventBatch,
    /// Their ids, for dedup.
    pub keys: Vec<IdKey>,
    /// Of their contents.
    pub sums: Vec<ContentSum>,
    hasher: ContentHasher,
    /// Records in error, with their rows.
    pub failed: Vec<FailedRecord>,
    /// Account of the records, without what dedup says.
    pub counts: Counts,
    /// Rows of the file that have an end.
    pub rows: u64,
    /// Where the file continues after it.
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
        format: if columns.is_some() { Format::Csv } else { Format::Ndjson },
        events: EventBatch::new(),
        keys: Vec::new(),
        sums: Vec::new(),
        hasher: ContentHasher::default(),
        failed: Vec::new(),
        counts: Counts::default(),
        rows: 0,
        end_position: chunk.end_position,
        tail: None,
    };
    match &chunk.kind {
        ChunkKind::Lines { is_first, is_open } => {
            let reader = reader_of_lines(chunk, *is_first, parsed.format, max_record_bytes);
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

/// Calls `on_record` with row and bytes of each record, as [`parse`] has gone through them.
fn each_record(
    chunk: &Chunk,
    format: Format,
    max_record_bytes: usize,
    mut on_record: impl FnMut(u64, &[u8]),
) {
    match &chunk.kind {
        ChunkKind::Lines { is_first, .. } => {
            let mut reader = reader_of_lines(chunk, *is_first, format, max_record_bytes);
            // Reading from memory does not fail.
            while let Ok(Some(record)) = reader.next_record() {
                on_record(record.row - 1, record.payload);
            }
        }
        ChunkKind::Records { records, .. } => {
            let mut start = 0;
            for record in records {
                on_record(record.row, &chunk.data[start..record.end]);
                start = record.end;
            }
        }
    }
}

fn reader_of_lines(
    chunk: &Chunk,
    is_first: bool,
    format: Format,
    max_record_bytes: usize,
) -> RecordReader<&[u8]> {
    let data = chunk.data.as_slice();
    match (is_first, format) {
        (true, Format::Ndjson) => RecordReader::new(data, format, max_record_bytes),
        // The header of CSV was read before.
        _ => RecordReader::continuing(data, format, max_record_bytes),
    }
}

impl ParsedChunk {
    /// Makes errors of events that cannot be judged, as they were in their piece.
    pub fn set_aside(
        &mut self,
        unjudged: &[(Range<usize>, Arc<str>)],
        chunk: &Chunk,
        max_record_bytes: usize,
    ) {
        let mut failed_before = self.failed.iter().map(|failed| failed.record).peekable();
        let mut unjudged = unjudged.iter().peekable();
        let (mut record, mut event) = (0, 0);
        let (events, counts) = (&self.events, &mut self.counts);
        let mut set_aside = Vec::new();
        let mut last_is_set_aside = false;
        each_record(chunk, self.format, max_record_bytes, |row, payload| {
            last_is_set_aside = false;
            if failed_before.next_if_eq(&record).is_none() {
                while unjudged.next_if(|(events, _)| events.end <= event).is_some() {}
                if let Some((_, reason)) = unjudged.peek().filter(|(events, _)| events.contains(&event)) {
                    let hour = events.event_time(event).floor_hour();
                    counts.add_invalid(ErrorType::Archive);
                    last_is_set_aside = true;
                    set_aside.push(FailedRecord {
                        record,
                        row,
                        payload: payload.to_vec(),
                        error: archived::error(hour, reason),
                        truncated_from: None,
                        waits_for: Some(hour),
                    });
                }
                event += 1;
            }
            record += 1;
        });
        if let Some(tail) = self.tail.as_mut().filter(|_| last_is_set_aside) {
            tail.outcome = TailOutcome::Error(Some(ErrorType::Archive));
        }
        self.failed.append(&mut set_aside);
        self.failed.sort_by_key(|failed| failed.record);
    }

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
            (Some(length), _) => Err(EventError::too_long(length)),
            (None, Some(columns)) => parser.parse_csv(columns, payload, now),
            (None, None) => parser.parse_json(payload, now),
        };
        match outcome {
            Ok(event) => {
                self.counts.float_ids += u64::from(event.warnings.float_id);
                self.counts.unknown_fields += u64::from(event.warnings.unknown_fields);
                self.sums.push(self.hasher.sum(&event.event));
                self.events.push(&event.event);
                TailOutcome::Event
            }
            Err(error) => {
                let outcome = TailOutcome::Error(Some(error.error_type));
                self.counts.add_invalid(error.error_type);
                self.failed.push(FailedRecord {
                    record: self.counts.records - 1,
                    row,
                    payload: payload.to_vec(),
                    error,
                    truncated_from,
                    waits_for: None,
                });
                outcome
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use adpipe_event::Rules;

    use super::*;

    fn event(id: u32, hour: u32) -> String {
        format!(
            "{{\"id\":\"{id}\",\"click\":0,\"hour\":\"141021{hour:02}\",\"banner_pos\":0,\"site_id\":\"a\",\
             \"site_domain\":\"b\",\"site_category\":\"c\",\"app_id\":\"d\",\"app_domain\":\"e\",\
             \"app_category\":\"f\",\"device_id\":\"g\",\"device_ip\":\"h\",\"device_model\":\"i\",\
             \"device_type\":1,\"device_conn_type\":0}}"
        )
    }

    #[test]
    fn what_nobody_can_judge_is_set_aside_as_it_lies_in_the_file() {
        let lines = [
            event(1, 4),
            "bad".to_owned(),
            event(2, 5),
            String::new(),
            event(3, 5),
            event(4, 6),
            event(5, 5),
        ];
        let data = lines.join("\n").into_bytes();
        let end_position = data.len() as u64;
        let chunk = Chunk { data, kind: ChunkKind::Lines { is_first: true, is_open: true }, end_position };
        let mut parser = Parser::new(Rules::of_any_time(adpipe_event::FieldMap::default()));
        let mut parsed = parse(&chunk, None, &mut parser, 10_000, Millis(0));
        assert_eq!((parsed.events.len(), parsed.failed.len()), (5, 1));
        assert_eq!(parsed.tail.map(|tail| tail.outcome), Some(TailOutcome::Event));

        let reason: Arc<str> = "a part is missing".into();
        let unjudged = [(1..3, Arc::clone(&reason)), (4..5, reason)];
        parsed.set_aside(&unjudged, &chunk, 10_000);
        let failed: Vec<(u64, ErrorType)> =
            parsed.failed.iter().map(|failed| (failed.row, failed.error.error_type)).collect();
        let archive = ErrorType::Archive;
        assert_eq!(failed, [(1, ErrorType::Parse), (2, archive), (4, archive), (6, archive)]);
        assert_eq!(parsed.failed[2].payload, event(3, 5).as_bytes());
        assert_eq!(parsed.failed[2].waits_for, Millis::parse_sql("2014-10-21 05:00:00"));
        assert_eq!(parsed.counts.of_type(archive), 3);
        assert_eq!(parsed.tail.map(|tail| tail.outcome), Some(TailOutcome::Error(Some(archive))));
    }
}
