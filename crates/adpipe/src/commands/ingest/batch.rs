//! Records being collected for one append.

use std::time::Instant;

use adpipe_event::{CsvColumns, FieldMap, ReadError, RecordReader};
use adpipe_log::{HeaderSet, Headers, Records, header};
use adpipe_runtime::Shutdown;

use super::source::Input;

/// Records of one source, each with its row.
pub struct Batch {
    pub records: Records,
    /// File, format and columns, which all share.
    headers: Headers,
    header_set: HeaderSet,
    pub columns: Option<CsvColumns>,
    fields: FieldMap,
    /// Which records of it were longer than the limit, and how long they were.
    pub too_long: Vec<(usize, u64)>,
    pub begun: Instant,
}

impl Batch {
    /// An empty one for the records of a file, once the header of CSV was read.
    pub fn new(
        file: &str,
        reader: &mut RecordReader<Input>,
        fields: &FieldMap,
        shutdown: &Shutdown,
    ) -> Result<Batch, ReadError> {
        let columns = loop {
            match reader.columns() {
                Ok(columns) => break columns.cloned(),
                // A live input that has not begun yet.
                Err(ReadError::Io(error))
                    if error.kind() == std::io::ErrorKind::TimedOut && !shutdown.is_triggered() => {}
                Err(error) => return Err(error),
            }
        };
        let headers = match &columns {
            Some(columns) => {
                Headers::default().with(header::FORMAT, "csv").with(header::COLUMNS, columns.wire())
            }
            None => Headers::default(),
        };
        let headers = headers.with(header::SOURCE, file);
        let mut records = Records::new();
        let header_set = records.add_headers(headers.clone());
        let (fields, too_long, begun) = (fields.clone(), Vec::new(), Instant::now());
        Ok(Batch { records, headers, header_set, columns, fields, too_long, begun })
    }

    /// Takes one record; false at the end of the input.
    pub fn take(&mut self, reader: &mut RecordReader<Input>) -> Result<bool, ReadError> {
        let Some(record) = reader.next_record()? else { return Ok(false) };
        let key = self.fields.record_id(record.payload, self.columns.as_ref()).unwrap_or_default();
        let header_set = match record.truncated_from {
            None => self.header_set,
            Some(length) => {
                self.too_long.push((self.records.len(), length));
                let headers = self.headers.clone().with(header::TRUNCATED_FROM, length.to_string());
                self.records.add_headers(headers)
            }
        };
        let fits = self.records.push_row(&key, record.payload, header_set, record.row);
        debug_assert!(fits, "an append is far smaller than a buffer");
        Ok(true)
    }

    /// The whole length of a record of which only the beginning is kept.
    pub fn truncated_from(&self, index: usize) -> Option<u64> {
        let found = self.too_long.binary_search_by_key(&index, |(at, _)| *at);
        found.ok().map(|found| self.too_long[found].1)
    }

    pub fn take_records(&mut self) -> Records {
        let mut records = self.records.next();
        self.header_set = records.add_headers(self.headers.clone());
        self.begun = Instant::now();
        self.too_long.clear();
        std::mem::replace(&mut self.records, records)
    }

    pub fn clear(&mut self) {
        drop(self.take_records());
    }

    /// Drops all but the first `count` records.
    pub fn keep_first(&mut self, count: usize) {
        self.records.keep_first(count);
        self.too_long.retain(|(index, _)| *index < count);
    }

    /// Drops all but the last `count` records.
    pub fn keep_last(&mut self, count: usize) {
        let dropped = self.records.len() - count.min(self.records.len());
        self.records.drop_first(dropped);
        self.too_long.retain(|(index, _)| *index >= dropped);
        self.too_long.iter_mut().for_each(|(index, _)| *index -= dropped);
    }
}
