//! Splits a stream of bytes into records, with bounded memory.
//!
//! For NDJSON and CSV a record is a line: no field of an event may hold a line end, so a quote
//! left open spoils its own row and not the rest of the file. For a JSON array a record is an
//! element; what follows a damaged place becomes one last record, so that nothing is lost.

use std::io::Read;

use crate::{CsvColumns, Format, HeaderError};

/// Bytes asked for in one read.
const READ_BYTES: usize = 128 << 10;

/// Of a record that is too long this much is kept.
const KEPT_OF_TOO_LONG: usize = 64 << 10;

/// One record of a file or body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InputRecord<'a> {
    /// Its bytes, without the line end.
    pub payload: &'a [u8],
    /// Its line, or its place in the array; from 1.
    pub row: u64,
    /// Where it begins in the (uncompressed) input.
    pub byte_offset: u64,
    /// Its whole length, when it was too long and `payload` is only its beginning.
    pub truncated_from: Option<u64>,
}

/// Why there is no next record.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The input cannot be read, or its compression is damaged.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The CSV header cannot be used.
    #[error(transparent)]
    Header(#[from] HeaderError),
}

/// Reads records one after the other.
pub struct RecordReader<R: Read> {
    input: Input<R>,
    format: Format,
    max_record_bytes: usize,
    /// The header, once it was read: its columns or why it cannot be used.
    header: Option<Result<CsvColumns, HeaderError>>,
    row: u64,
    too_long: u64,
    array: ArrayState,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ArrayState {
    /// Nothing was read yet.
    Start,
    /// Between elements.
    Inside,
    /// No array but objects one behind the other, each over any number of lines.
    Objects,
    /// Behind the closing bracket.
    Behind,
}

impl<R: Read> RecordReader<R> {
    /// Splits `reader` by `format`. A record longer than `max_record_bytes` is given as its
    /// beginning only, with [`InputRecord::truncated_from`] set.
    pub fn new(reader: R, format: Format, max_record_bytes: usize) -> RecordReader<R> {
        RecordReader {
            input: Input {
                reader,
                buffer: Vec::new(),
                start: 0,
                offset: 0,
                at_end: false,
                last_skipped: None,
            },
            format,
            max_record_bytes: max_record_bytes.max(1),
            header: None,
            row: 0,
            too_long: 0,
            array: ArrayState::Start,
        }
    }

    /// How many of the records given so far were longer than the limit: of each only the beginning
    /// is kept, so whoever sent them must be told.
    pub fn too_long(&self) -> u64 {
        self.too_long
    }

    /// The columns of a CSV input, reading its header if that was not done yet. None for JSON,
    /// and for an input that is empty.
    ///
    /// # Errors
    /// [`ReadError::Header`] when the header cannot be used.
    pub fn columns(&mut self) -> Result<Option<&CsvColumns>, ReadError> {
        if self.format == Format::Csv && self.header.is_none() {
            self.input.skip_byte_order_mark()?;
            let max_record_bytes = self.max_record_bytes;
            if let Some(line) = next_line(&mut self.input, &mut self.row, max_record_bytes)? {
                self.header = Some(CsvColumns::parse(&self.input.buffer[line.range]));
            }
        }
        match &self.header {
            None => Ok(None),
            Some(Ok(columns)) => Ok(Some(columns)),
            Some(Err(error)) => Err(error.clone().into()),
        }
    }

    /// The next record; none at the end.
    ///
    /// # Errors
    /// [`ReadError`]. Records given before it are sound.
    pub fn next_record(&mut self) -> Result<Option<InputRecord<'_>>, ReadError> {
        let found = match self.format {
            Format::Csv => {
                if self.columns()?.is_none() {
                    return Ok(None);
                }
                next_line(&mut self.input, &mut self.row, self.max_record_bytes)?
            }
            Format::Ndjson => {
                if self.row == 0 {
                    self.input.skip_byte_order_mark()?;
                }
                next_line(&mut self.input, &mut self.row, self.max_record_bytes)?
            }
            Format::JsonArray => self.next_element()?,
        };
        let row = self.row;
        self.too_long += u64::from(found.as_ref().is_some_and(|found| found.truncated_from.is_some()));
        Ok(found.map(|found| InputRecord {
            payload: &self.input.buffer[found.range],
            row,
            byte_offset: found.byte_offset,
            truncated_from: found.truncated_from,
        }))
    }

    fn next_element(&mut self) -> Result<Option<Found>, ReadError> {
        if self.array == ArrayState::Start {
            self.input.skip_byte_order_mark()?;
            match self.input.skip_space()? {
                None => return Ok(None),
                Some(b'[') => {
                    self.input.start += 1;
                    self.array = ArrayState::Inside;
                    if self.input.skip_space()? == Some(b']') {
                        self.input.start += 1;
                        self.array = ArrayState::Behind;
                    }
                }
                Some(b'{') => self.array = ArrayState::Objects,
                Some(_) => self.array = ArrayState::Behind,
            }
        }
        if self.input.skip_space()?.is_none() {
            if self.array != ArrayState::Inside {
                return Ok(None);
            }
            // The array was cut off between two elements: an empty record tells.
            self.array = ArrayState::Behind;
            self.row += 1;
            let end = self.input.start;
            return Ok(Some(self.input.give(end, 0, None, self.max_record_bytes)));
        }
        self.row += 1;
        let mut scanner = ElementScanner::default();
        let state = self.array;
        let mut found = self.input.take(self.max_record_bytes, |byte| match state {
            ArrayState::Behind | ArrayState::Start => None,
            ArrayState::Inside => scanner.is_end(byte),
            ArrayState::Objects => scanner.is_close(byte),
        })?;
        match (state, found.ended_by) {
            (ArrayState::Inside, Some(b',')) => {}
            (ArrayState::Objects, Some(_)) => {
                // The closing brace belongs to the object, and may be the one byte too many.
                found.range.end += usize::from(found.truncated_from.is_none());
            }
            _ => self.array = ArrayState::Behind,
        }
        if found.truncated_from.is_none() {
            let element = &self.input.buffer[found.range.clone()];
            found.range.end -= element.len() - element.trim_ascii_end().len();
        }
        Ok(Some(found))
    }
}

/// Follows strings and brackets to find where an element ends.
#[derive(Default)]
struct ElementScanner {
    depth: u32,
    in_string: bool,
    escaped: bool,
}

impl ElementScanner {
    /// The byte itself when it is the bracket that closes what the first byte opened.
    fn is_close(&mut self, byte: u8) -> Option<u8> {
        let depth_before = self.depth;
        let _ = self.is_end(byte);
        (depth_before == 1 && self.depth == 0).then_some(byte)
    }

    /// The byte itself when it is the comma or bracket that ends the element.
    fn is_end(&mut self, byte: u8) -> Option<u8> {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return None;
        }
        match byte {
            b'"' => self.in_string = true,
            b'[' | b'{' => self.depth += 1,
            b',' | b']' if self.depth == 0 => return Some(byte),
            b']' | b'}' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        None
    }
}

/// A record within the buffer.
struct Found {
    range: std::ops::Range<usize>,
    byte_offset: u64,
    truncated_from: Option<u64>,
    ended_by: Option<u8>,
}

/// The next line that is not blank.
fn next_line<R: Read>(
    input: &mut Input<R>,
    row: &mut u64,
    max_record_bytes: usize,
) -> Result<Option<Found>, ReadError> {
    loop {
        if input.is_exhausted()? {
            return Ok(None);
        }
        *row += 1;
        let found = input.take_line(max_record_bytes)?;
        if !input.buffer[found.range.clone()].trim_ascii().is_empty() {
            return Ok(Some(found));
        }
    }
}

/// The bytes that were read and not yet given out.
struct Input<R: Read> {
    reader: R,
    buffer: Vec<u8>,
    /// Where what was not given out begins in `buffer`.
    start: usize,
    /// Where `buffer` begins in the input.
    offset: u64,
    at_end: bool,
    /// Last byte of the newest record that was too long, without the byte that ended it.
    last_skipped: Option<u8>,
}

impl<R: Read> Input<R> {
    /// Reads more; what was given out makes room. Positions in the buffer change by the returned shift.
    fn fill(&mut self) -> std::io::Result<usize> {
        let shift = self.start;
        if shift > 0 {
            self.buffer.drain(..shift);
            self.offset += shift as u64;
            self.start = 0;
        }
        let filled = self.buffer.len();
        self.buffer.resize(filled + READ_BYTES, 0);
        let outcome = loop {
            match self.reader.read(&mut self.buffer[filled..]) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.buffer.truncate(filled + *outcome.as_ref().unwrap_or(&0));
        self.at_end = outcome? == 0;
        Ok(shift)
    }

    fn is_exhausted(&mut self) -> std::io::Result<bool> {
        while self.start == self.buffer.len() && !self.at_end {
            self.fill()?;
        }
        Ok(self.start == self.buffer.len())
    }

    fn skip_byte_order_mark(&mut self) -> std::io::Result<()> {
        while self.offset == 0 && self.start == 0 && self.buffer.len() < 3 && !self.at_end {
            self.fill()?;
        }
        if self.offset == 0 && self.start == 0 && self.buffer.starts_with(b"\xef\xbb\xbf") {
            self.start = 3;
        }
        Ok(())
    }

    /// The next byte that is not white space, without taking it.
    fn skip_space(&mut self) -> std::io::Result<Option<u8>> {
        while !self.is_exhausted()? {
            let byte = self.buffer[self.start];
            if !byte.is_ascii_whitespace() {
                return Ok(Some(byte));
            }
            self.start += 1;
        }
        Ok(None)
    }

    fn take_line(&mut self, max_record_bytes: usize) -> std::io::Result<Found> {
        let mut scanned = self.start;
        loop {
            if let Some(length) = memchr::memchr(b'\n', &self.buffer[scanned..]) {
                let end = scanned + length;
                let text = &self.buffer[self.start..end];
                let text_length = text.strip_suffix(b"\r").unwrap_or(text).len();
                return Ok(self.give(end, text_length, Some(b'\n'), max_record_bytes));
            }
            if self.at_end {
                let text = &self.buffer[self.start..];
                let text_length = text.strip_suffix(b"\r").unwrap_or(text).len();
                return Ok(self.give(self.buffer.len(), text_length, None, max_record_bytes));
            }
            // One byte more may be the \r of the line end.
            if self.buffer.len() - self.start > max_record_bytes + 1 {
                let mut found =
                    self.skip_too_long(max_record_bytes, |byte| (byte == b'\n').then_some(byte))?;
                let ends_with_return = self.last_skipped == Some(b'\r');
                found.truncated_from =
                    found.truncated_from.map(|length| length - u64::from(ends_with_return));
                return Ok(found);
            }
            scanned = self.buffer.len();
            scanned -= self.fill()?;
        }
    }

    /// Takes bytes up to the one for which `is_end` gives something.
    fn take(
        &mut self,
        max_record_bytes: usize,
        mut is_end: impl FnMut(u8) -> Option<u8>,
    ) -> Result<Found, ReadError> {
        let mut scanned = self.start;
        loop {
            while let Some(byte) = self.buffer.get(scanned) {
                if let Some(end) = is_end(*byte) {
                    return Ok(self.give(scanned, scanned - self.start, Some(end), max_record_bytes));
                }
                scanned += 1;
            }
            if self.at_end {
                let length = self.buffer.len() - self.start;
                return Ok(self.give(self.buffer.len(), length, None, max_record_bytes));
            }
            if self.buffer.len() - self.start > max_record_bytes {
                return Ok(self.skip_too_long(max_record_bytes, is_end)?);
            }
            scanned -= self.fill()?;
        }
    }

    /// Gives out the first `length` bytes; all up to `end`, and the byte that ended it, is taken.
    fn give(&mut self, end: usize, length: usize, ended_by: Option<u8>, max_record_bytes: usize) -> Found {
        let start = self.start;
        self.start = end + usize::from(ended_by.is_some());
        let too_long = length > max_record_bytes;
        let kept = if too_long { length.min(KEPT_OF_TOO_LONG).min(max_record_bytes) } else { length };
        Found {
            range: start..start + kept,
            byte_offset: self.offset + start as u64,
            truncated_from: too_long.then_some(length as u64),
            ended_by,
        }
    }

    /// Keeps the beginning of a record that does not end within the limit and reads over the rest.
    /// `is_end` has seen all that is in the buffer.
    fn skip_too_long(
        &mut self,
        max_record_bytes: usize,
        mut is_end: impl FnMut(u8) -> Option<u8>,
    ) -> std::io::Result<Found> {
        let byte_offset = self.offset + self.start as u64;
        let mut length = (self.buffer.len() - self.start) as u64;
        let kept_end = (self.start + KEPT_OF_TOO_LONG.min(max_record_bytes)).min(self.buffer.len());
        let mut kept = self.buffer[self.start..kept_end].to_vec();
        let mut ended_by = None;
        self.last_skipped = self.buffer.last().copied();
        self.start = self.buffer.len();
        while ended_by.is_none() && !self.is_exhausted()? {
            let rest = &self.buffer[self.start..];
            let end = rest.iter().enumerate().find_map(|(at, byte)| is_end(*byte).map(|end| (at, end)));
            let skipped = end.map_or(rest.len(), |(at, _)| at);
            length += skipped as u64;
            ended_by = end.map(|(_, byte)| byte);
            self.last_skipped = rest[..skipped].last().copied().or(self.last_skipped);
            self.start += skipped + usize::from(ended_by.is_some());
        }
        // The kept beginning goes back in front of what is still to come.
        let kept_length = kept.len();
        kept.extend_from_slice(&self.buffer[self.start..]);
        self.offset = self.offset + self.start as u64 - kept_length as u64;
        self.buffer = kept;
        self.start = kept_length;
        Ok(Found { range: 0..kept_length, byte_offset, truncated_from: Some(length), ended_by })
    }
}
