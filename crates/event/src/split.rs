//! Splits a stream of bytes into records, with bounded memory.
//!
//! For NDJSON and CSV a record is a line: no field of an event may hold a line end, so a quote left
//! open spoils its own row and not the rest of the file. Several JSON objects in one line are a record
//! each. For a JSON array a record is an element; arrays may follow one another. What can no longer be
//! separated becomes one last record, so that nothing is lost.
//!
//! `input.rs` holds the bytes and takes records of them; how a record's end is found is in
//! `csv_line.rs`, `json_line.rs` and `element.rs`.

mod csv_line;
mod element;
mod input;
mod json_line;

use std::io::Read;

use crate::{CsvColumns, FieldMap, Format, HeaderError};
use csv_line::CsvLine;
use element::{Element, EndsAt};
use input::{Found, Input};
use json_line::JsonLine;

/// One record of a file or body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InputRecord<'a> {
    /// Its bytes, without the line end.
    pub payload: &'a [u8],
    /// Its line, or its place in the array; from 1. Each object of a line has its own number.
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
    fields: FieldMap,
    has_header: bool,
    /// A byte order mark may stand at the beginning.
    has_mark: bool,
    /// The header, once it was read: its columns or why it cannot be used.
    header: Option<Result<CsvColumns, HeaderError>>,
    row: u64,
    too_long: u64,
    is_open: bool,
    place: JsonPosition,
    /// A pause of the input came in the middle of an element.
    is_within: bool,
    csv_line: CsvLine,
    json_line: JsonLine,
    element: Element,
}

/// The position of the reader in JSON that is not NDJSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum JsonPosition {
    /// Nothing was read yet.
    Start,
    /// Behind the bracket that opens an array.
    Opened,
    /// Behind a comma of an array.
    Inside,
    /// Behind an array or an object.
    Between,
}

impl<R: Read> RecordReader<R> {
    /// Splits `reader` by `format`. A record longer than `max_record_bytes` is given as its
    /// beginning only, with [`InputRecord::truncated_from`] set.
    pub fn new(reader: R, format: Format, max_record_bytes: usize) -> RecordReader<R> {
        RecordReader {
            input: Input::new(reader),
            format,
            max_record_bytes: max_record_bytes.max(1),
            fields: FieldMap::default(),
            has_header: format == Format::Csv,
            has_mark: true,
            header: None,
            row: 0,
            too_long: 0,
            is_open: false,
            place: JsonPosition::Start,
            is_within: false,
            csv_line: CsvLine::default(),
            json_line: JsonLine::default(),
            element: Element::default(),
        }
    }

    /// Reads the header of a CSV input by these fields.
    pub fn with_fields(self, fields: &FieldMap) -> RecordReader<R> {
        RecordReader { fields: fields.clone(), ..self }
    }

    /// Splits what follows the beginning of an input: without a header or a byte order mark.
    pub fn continuing(reader: R, format: Format, max_record_bytes: usize) -> RecordReader<R> {
        let reader = RecordReader::new(reader, format, max_record_bytes);
        RecordReader { has_header: false, has_mark: false, ..reader }
    }

    /// How many of the records given so far were longer than the limit: only the beginning of each is
    /// kept, so the sender must be informed.
    pub fn too_long(&self) -> u64 {
        self.too_long
    }

    /// Where the next record begins at the earliest, in bytes of the (uncompressed) input.
    pub fn position(&self) -> u64 {
        self.input.position()
    }

    /// Rows so far that have an end, blank ones and a header included. A last row that only the end of
    /// the input ends may continue when the input grows.
    pub fn ended_rows(&self) -> u64 {
        self.row - u64::from(self.is_open)
    }

    /// The columns of a CSV input, reading its header if that was not done yet. None for JSON,
    /// and for an input that is empty.
    ///
    /// # Errors
    /// [`ReadError::Header`] when the header cannot be used.
    pub fn columns(&mut self) -> Result<Option<&CsvColumns>, ReadError> {
        if self.has_header && self.header.is_none() {
            self.input.skip_byte_order_mark()?;
            if let Some(line) = self.next_line()? {
                self.header = Some(CsvColumns::parse_by(&self.input.buffer[line.range], &self.fields));
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
                if self.has_header && self.columns()?.is_none() {
                    return Ok(None);
                }
                self.next_line()?
            }
            Format::Ndjson => {
                if self.row == 0 && self.has_mark {
                    self.input.skip_byte_order_mark()?;
                }
                self.next_line()?
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

    /// The next line that is not blank.
    fn next_line(&mut self) -> Result<Option<Found>, ReadError> {
        loop {
            if self.input.is_exhausted()? {
                return Ok(None);
            }
            let found = match self.format {
                Format::Csv => self.input.take(self.max_record_bytes, &mut self.csv_line)?,
                _ => self.input.take(self.max_record_bytes, &mut self.json_line)?,
            };
            self.row += 1;
            self.is_open = !found.is_ended;
            if !self.input.buffer[found.range.clone()].trim_ascii().is_empty() {
                return Ok(Some(found));
            }
        }
    }

    fn next_element(&mut self) -> Result<Option<Found>, ReadError> {
        while !self.is_within {
            if self.place == JsonPosition::Start {
                self.input.skip_byte_order_mark()?;
            }
            let next = self.input.skip_space()?;
            self.element.ends_at = match (self.place, next) {
                (JsonPosition::Opened | JsonPosition::Inside, None) => {
                    // The array was cut off between two elements: an empty record shows this.
                    self.place = JsonPosition::Between;
                    self.row += 1;
                    return Ok(Some(self.input.give_nothing()));
                }
                (_, None) => return Ok(None),
                (JsonPosition::Opened, Some(b']')) => {
                    self.input.start += 1;
                    self.place = JsonPosition::Between;
                    continue;
                }
                (JsonPosition::Start | JsonPosition::Between, Some(b'[')) => {
                    self.input.start += 1;
                    self.place = JsonPosition::Opened;
                    continue;
                }
                (JsonPosition::Opened | JsonPosition::Inside, _) => EndsAt::Separator,
                (JsonPosition::Start, Some(byte)) if byte != b'{' => EndsAt::Never,
                (JsonPosition::Start | JsonPosition::Between, _) => EndsAt::Close,
            };
            self.is_within = true;
        }
        let mut found = self.input.take(self.max_record_bytes, &mut self.element)?;
        self.is_within = false;
        self.row += 1;
        self.place = match (self.element.ends_at, self.element.ended_by) {
            (EndsAt::Separator, Some(b',')) => JsonPosition::Inside,
            _ => JsonPosition::Between,
        };
        if found.truncated_from.is_none() {
            let element = &self.input.buffer[found.range.clone()];
            found.range.end -= element.len() - element.trim_ascii_end().len();
        }
        Ok(Some(found))
    }
}
