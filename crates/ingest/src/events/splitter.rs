//! Splits a received body into slices of records, or only looks at them.

use std::io::Read;

use adpipe_event::{Format, ReadError, RecordReader, find_format, read_start, sniff_foreign};
use adpipe_log::{MAX_QUEUED_BYTES, Records};
use axum::http::StatusCode;

use super::decompress::{decompressed, io_refusal};
use super::judge::{Judge, Judged};
use super::reading::{Reading, bad, foreign};
use crate::feeder::RecordFeeder;
use crate::http::{ReceivedBody, Refusal};

/// A slice is appended at this size; small against what the log lets wait.
const SLICE_BYTES: usize = MAX_QUEUED_BYTES / 4;

/// What a record costs in memory next to its bytes.
pub(super) const RECORD_OVERHEAD_BYTES: usize = 32;

pub(super) struct Splitter<'b> {
    reader: RecordReader<Box<dyn Read + 'b>>,
    reading: &'b Reading,
    feeder: RecordFeeder,
    at_end: bool,
}

impl<'b> Splitter<'b> {
    /// Begins a body, reading as far as the header of CSV.
    ///
    /// # Errors
    /// 400, 413 or 415 for a body that cannot be read so.
    pub fn open(body: &'b ReceivedBody, reading: &'b Reading) -> Result<Splitter<'b>, Refusal> {
        let mut bytes = decompressed(body, reading)?;
        let start = read_start(&mut bytes, || Ok(())).map_err(|error| io_refusal(&error, reading))?;
        if let Some(reason) = sniff_foreign(&start, reading.encoding) {
            return Err(foreign(&reason));
        }
        let format = match reading.format {
            Some(format @ (Format::Ndjson | Format::Csv)) => format,
            // Many clients say application/json and send a line an object: the bytes decide.
            said => find_format(&start, said).unwrap_or(Format::Ndjson),
        };
        let bytes: Box<dyn Read + 'b> = Box::new(std::io::Cursor::new(start).chain(bytes));
        let reader = RecordReader::new(bytes, format, reading.limits.max_record_bytes);
        let mut reader = reader.with_fields(&reading.fields);
        let columns = reader.columns().map_err(|error| read_refusal(&error, reading))?;
        let feeder = RecordFeeder::of_body(&reading.fields, columns);
        Ok(Splitter { reader, reading, feeder, at_end: false })
    }

    /// The same body from its beginning.
    ///
    /// # Errors
    /// None that [`open`](Splitter::open) did not give before.
    pub fn reopen(&self, body: &'b ReceivedBody) -> Result<Splitter<'b>, Refusal> {
        Splitter::open(body, self.reading)
    }

    /// Whether the body holds no more records.
    pub fn is_at_end(&self) -> bool {
        self.at_end
    }

    /// Records until the slice is full or the body ends; the judge looks at each.
    ///
    /// # Errors
    /// 400 or 413 for a body that cannot be read on, and what the judge refuses.
    pub fn next_slice(&mut self, mut judge: Option<&mut Judge<'_>>) -> Result<Records, Refusal> {
        let mut size = 0;
        while size < SLICE_BYTES {
            let record = self.reader.next_record().map_err(|error| read_refusal(&error, self.reading))?;
            let Some(record) = record else {
                self.at_end = true;
                break;
            };
            size += record.payload.len() + RECORD_OVERHEAD_BYTES;
            if let Some(judge) = &mut judge {
                judge.look_at(&record, self.feeder.columns())?;
            }
            if !self.feeder.add(&record) {
                // A slice is far smaller than what fits; if it does not fit, say so, never drop it.
                let message = "the body contains too much at once";
                return Err(Refusal::wrong(StatusCode::PAYLOAD_TOO_LARGE, message));
            }
        }
        Ok(self.feeder.take())
    }

    /// Reads the body to its end, so that what is wrong with it is known before anything is stored.
    ///
    /// # Errors
    /// As [`next_slice`](Splitter::next_slice) has them.
    pub fn survey(mut self, mut judge: Judge<'_>) -> Result<Judged, Refusal> {
        while let Some(record) =
            self.reader.next_record().map_err(|error| read_refusal(&error, self.reading))?
        {
            judge.look_at(&record, self.feeder.columns())?;
        }
        judge.end()
    }
}

fn read_refusal(error: &ReadError, reading: &Reading) -> Refusal {
    match error {
        ReadError::Io(error) => io_refusal(error, reading),
        ReadError::Header(error) => bad(format!("csv: {error}")),
    }
}
