//! Cuts a file into pieces that can be parsed by themselves: at line ends, or between records where
//! there are none. Memory is bounded whatever the file's size, and its longest record's.

use std::io::{self, Chain, Cursor, Read};

use adpipe_event::{Format, ReadError, RecordReader};

/// Bytes of a piece, about.
pub const CHUNK_BYTES: usize = 1 << 20;

/// A piece of a file.
#[derive(Debug)]
pub struct Chunk {
    pub data: Vec<u8>,
    pub kind: ChunkKind,
    /// Where the file continues after it: uncompressed bytes, or elements.
    pub end_position: u64,
}

/// How a piece is cut.
#[derive(Debug)]
pub enum ChunkKind {
    /// Lines, to be split when they are parsed.
    Lines {
        /// The file begins here.
        is_first: bool,
        /// The file ends here, and its last line has no end.
        is_open: bool,
    },
    /// Records one after the other.
    Records {
        records: Vec<CutRecord>,
        /// Rows that have an end, blank ones included.
        rows: u64,
        /// Where the last record begins when only the end of the file ends it.
        open_at: Option<u64>,
    },
}

/// A record of a piece.
#[derive(Debug)]
pub struct CutRecord {
    /// Where it ends in the piece's bytes.
    pub end: usize,
    /// Its row, from 0 at the piece's beginning.
    pub row: u64,
    /// Its whole length, when it was too long.
    pub truncated_from: Option<u64>,
}

/// What a reader of records reads: what was read already, and the rest.
type Rest<R> = Chain<Cursor<Vec<u8>>, R>;

pub enum Cutter<R: Read> {
    /// At line ends.
    Lines(LineCutter<R>),
    /// Between records.
    Records(Box<RecordCutter<R>>),
    /// Nothing comes any more.
    Ended,
}

impl<R: Read> Cutter<R> {
    /// Cuts lines; `input` begins at `position` of the file. From the first piece without a line end
    /// on, records are split here and not when they are parsed.
    pub fn lines(input: R, format: Format, position: u64, max_record_bytes: usize) -> Cutter<R> {
        Cutter::Lines(LineCutter {
            input,
            format,
            rest: Vec::new(),
            position,
            max_record_bytes,
            chunk_bytes: CHUNK_BYTES,
            at_end: false,
            failure: None,
        })
    }

    /// Cuts between the elements of JSON that is not NDJSON, and passes over the first `skip`.
    pub fn elements(input: R, skip: u64, max_record_bytes: usize) -> io::Result<Cutter<R>> {
        let rest = Cursor::new(Vec::new()).chain(input);
        let mut reader = RecordReader::new(rest, Format::JsonArray, max_record_bytes);
        let mut taken = 0;
        while taken < skip {
            match reader.next_record().map_err(into_io)? {
                Some(_) => taken += 1,
                None => break,
            }
        }
        let cut_at = CutAt::Elements(taken);
        Ok(Cutter::Records(Box::new(RecordCutter {
            reader,
            cut_at,
            chunk_bytes: CHUNK_BYTES,
            failure: None,
        })))
    }

    /// The next piece; none at the end.
    ///
    /// # Errors
    /// When the input cannot be read on; pieces given before it are sound.
    pub fn next_chunk(&mut self) -> io::Result<Option<Chunk>> {
        if let Cutter::Lines(lines) = self {
            let Some(data) = lines.next_data()? else { return Ok(None) };
            let is_line = memchr::memchr(b'\n', &data).is_some();
            if is_line || lines.at_end {
                return Ok(Some(lines.give(data, !is_line)));
            }
            if let Cutter::Lines(lines) = std::mem::replace(self, Cutter::Ended) {
                *self = Cutter::Records(Box::new(lines.into_records(data)));
            }
        }
        match self {
            Cutter::Records(records) => records.next_chunk(),
            _ => Ok(None),
        }
    }
}

/// Cuts at line ends.
pub struct LineCutter<R: Read> {
    input: R,
    format: Format,
    /// Bytes that were read and belong to the next piece.
    rest: Vec<u8>,
    position: u64,
    max_record_bytes: usize,
    chunk_bytes: usize,
    at_end: bool,
    failure: Option<io::Error>,
}

impl<R: Read> LineCutter<R> {
    /// Whole lines; or, where there is no line end, a piece without one. None at the end.
    fn next_data(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut data = Vec::with_capacity(self.chunk_bytes.max(self.rest.len()) + (64 << 10));
        data.append(&mut self.rest);
        self.fill(&mut data);
        if let Some(end) = memchr::memrchr(b'\n', &data) {
            self.rest = data[end + 1..].to_vec();
            data.truncate(end + 1);
        } else if let Some(error) = self.failure.take() {
            return Err(error);
        }
        Ok(Some(data).filter(|data| !data.is_empty()))
    }

    fn give(&mut self, data: Vec<u8>, is_open: bool) -> Chunk {
        let is_first = self.position == 0;
        self.position += data.len() as u64;
        Chunk { data, kind: ChunkKind::Lines { is_first, is_open }, end_position: self.position }
    }

    /// Reads until there is enough for a piece, or the end, or a failure.
    fn fill(&mut self, data: &mut Vec<u8>) {
        while data.len() < self.chunk_bytes && !self.at_end && self.failure.is_none() {
            let filled = data.len();
            data.resize(self.chunk_bytes, 0);
            let outcome = self.input.read(&mut data[filled..]);
            data.truncate(filled + *outcome.as_ref().unwrap_or(&0));
            match outcome {
                Ok(0) => self.at_end = true,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.failure = Some(error),
            }
        }
    }

    fn into_records(self, data: Vec<u8>) -> RecordCutter<R> {
        let rest = Cursor::new(data).chain(self.input);
        let reader = match (self.position, self.format) {
            (0, Format::Ndjson) => RecordReader::new(rest, self.format, self.max_record_bytes),
            _ => RecordReader::continuing(rest, self.format, self.max_record_bytes),
        };
        let cut_at = CutAt::Byte(self.position);
        RecordCutter { reader, cut_at, chunk_bytes: self.chunk_bytes, failure: None }
    }
}

/// Cuts between records.
pub struct RecordCutter<R: Read> {
    reader: RecordReader<Rest<R>>,
    cut_at: CutAt,
    chunk_bytes: usize,
    failure: Option<io::Error>,
}

/// What positions are counted in.
enum CutAt {
    /// Elements that were taken.
    Elements(u64),
    /// Bytes; the reader began at this one.
    Byte(u64),
}

impl<R: Read> RecordCutter<R> {
    fn next_chunk(&mut self) -> io::Result<Option<Chunk>> {
        if let Some(error) = self.failure.take() {
            return Err(error);
        }
        let rows_before = self.reader.ended_rows();
        let mut last_offset = 0;
        let (mut data, mut records) = (Vec::with_capacity(self.chunk_bytes), Vec::new());
        while data.len() < self.chunk_bytes {
            match self.reader.next_record() {
                Ok(Some(record)) => {
                    data.extend_from_slice(record.payload);
                    let (row, truncated_from) = (record.row - 1 - rows_before, record.truncated_from);
                    records.push(CutRecord { end: data.len(), row, truncated_from });
                    last_offset = record.byte_offset;
                }
                Ok(None) => break,
                Err(error) => {
                    self.failure = Some(into_io(error));
                    break;
                }
            }
        }
        if records.is_empty() {
            return self.failure.take().map_or(Ok(None), Err);
        }
        let rows = self.reader.ended_rows() - rows_before;
        let (end_position, open_at) = match &mut self.cut_at {
            CutAt::Elements(taken) => {
                *taken += records.len() as u64;
                (*taken, None)
            }
            CutAt::Byte(start) => {
                let is_open = records.last().is_some_and(|last| last.row == rows);
                (*start + self.reader.position(), is_open.then_some(*start + last_offset))
            }
        };
        Ok(Some(Chunk { data, kind: ChunkKind::Records { records, rows, open_at }, end_position }))
    }
}

fn into_io(error: ReadError) -> io::Error {
    match error {
        ReadError::Io(error) => error,
        ReadError::Header(error) => io::Error::other(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use adpipe_event::{CSV_HEADER, CsvColumns, Millis, Parser, Rules};

    use super::*;
    use crate::parse::parse;

    /// Gives a few bytes at a time, then fails when told so.
    struct Trickle<'a>(&'a [u8], bool);

    impl Read for Trickle<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.0.len().min(buffer.len()).min(7);
            if count == 0 && self.1 {
                return Err(io::Error::other("gone"));
            }
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn is_open(chunk: &Chunk) -> bool {
        matches!(chunk.kind, ChunkKind::Lines { is_open: true, .. })
    }

    #[test]
    fn pieces_are_the_file_again_and_a_failure_comes_last() {
        let mut cutter = Cutter::lines(Trickle(b"one\ntwo\nthr", false), Format::Ndjson, 100, 1_000);
        let first = cutter.next_chunk().unwrap().unwrap();
        assert_eq!(
            (first.data.as_slice(), first.end_position, is_open(&first)),
            (&b"one\ntwo\n"[..], 108, false)
        );
        let last = cutter.next_chunk().unwrap().unwrap();
        assert_eq!((last.data.as_slice(), last.end_position, is_open(&last)), (&b"thr"[..], 111, true));
        assert!(cutter.next_chunk().unwrap().is_none());
        let mut cutter = Cutter::lines(Trickle(b"one\ntw", true), Format::Ndjson, 0, 1_000);
        assert_eq!(cutter.next_chunk().unwrap().unwrap().data, b"one\n");
        assert_eq!(cutter.next_chunk().unwrap_err().to_string(), "gone");
    }

    #[test]
    fn a_line_of_any_length_takes_bounded_memory_and_is_one_record() {
        let mut text = vec![b'x'; 3 * CHUNK_BYTES + 5];
        text.extend_from_slice(b"\r\nnext\n");
        let mut cutter = Cutter::lines(text.as_slice(), Format::Csv, 0, 1_000);
        let chunk = cutter.next_chunk().unwrap().unwrap();
        let ChunkKind::Records { records, rows: 2, open_at: None } = &chunk.kind else {
            panic!("{:?}", chunk.kind)
        };
        assert_eq!(records[0].truncated_from, Some(3 * CHUNK_BYTES as u64 + 5));
        assert!(records[0].end <= 1_000);
        assert_eq!(&chunk.data[records[0].end..], b"next");
        assert_eq!(chunk.end_position, text.len() as u64);
        assert!(cutter.next_chunk().unwrap().is_none());
    }

    type Found = (u64, Vec<u8>, Option<u64>);

    /// Rows, payloads and lengths when cut into pieces of this size, and the tail's position.
    fn cut(text: &[u8], columns: Option<&CsvColumns>, chunk_bytes: usize) -> (Vec<Found>, u64, Option<u64>) {
        let format = if columns.is_some() { Format::Csv } else { Format::Ndjson };
        let mut cutter = Cutter::lines(Trickle(text, false), format, 0, MAX);
        if let Cutter::Lines(lines) = &mut cutter {
            lines.chunk_bytes = chunk_bytes;
        }
        let mut parser = Parser::new(Rules::default());
        let (mut found, mut rows, mut tail) = (Vec::new(), 0, None);
        while let Some(chunk) = cutter.next_chunk().unwrap() {
            let parsed = parse(&chunk, columns, &mut parser, MAX, Millis(0));
            for record in parsed.failed {
                found.push((rows + record.row, record.payload, record.truncated_from));
            }
            rows += parsed.rows;
            tail = parsed.tail.map(|tail| tail.position);
        }
        (found, rows, tail)
    }

    const MAX: usize = 40;

    #[test]
    fn it_does_not_matter_where_a_file_is_cut() {
        let columns = CsvColumns::parse(CSV_HEADER.as_bytes()).unwrap();
        let long = "y".repeat(120);
        let csv = [
            "1,a\r2,b\r\r3,\"c\rd\",e\r4\r",
            "1,\"a\r2,b\r3,\"c\"\"\rd\"\r\n4,x\n\r\n5",
            &format!("1\r2,{long}\r3,\"{long}\r4\n5,\"a\r"),
            "a\r\r\n\n\rb",
        ];
        let json = [
            r#"{"a":1}{"b":"}{"} {"c":{"d":2}}{}{"":1}{"x":"#,
            &format!("{{\"a\":1}}\r{{\"b\":\"{long}\"}}{{\"c\":3}}\n{{\"d\":\"x}}{{\"e\":5}}\n\n{long}"),
            "\n{\"a\":1}\r\n{\"b\":2} \t\r{\"c\":3}\r",
        ];
        let texts = csv.iter().map(|text| (*text, Some(&columns)));
        for (text, columns) in texts.chain(json.iter().map(|text| (*text, None))) {
            let whole = cut(text.as_bytes(), columns, 1 << 20);
            assert!(whole.0.len() > 1, "{text:?}");
            for chunk_bytes in 1..=text.len() + 1 {
                let pieces = cut(text.as_bytes(), columns, chunk_bytes);
                assert_eq!(whole.0, pieces.0, "{text:?} in pieces of {chunk_bytes}");
                assert_eq!(whole.2, pieces.2, "{text:?} in pieces of {chunk_bytes}");
            }
        }
    }
}
