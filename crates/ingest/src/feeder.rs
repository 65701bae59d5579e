//! Records being collected for one append, whichever way they came in.

use adpipe_event::{CsvColumns, FieldMap, InputRecord};
use adpipe_log::{HeaderSet, Headers, Records, header};

/// Makes records of the log out of those that a [`RecordReader`](adpipe_event::RecordReader) finds:
/// the key by which an event meets the same partition, and the headers by which it is read again.
/// Nothing is allocated per record.
#[derive(Debug)]
pub struct RecordFeeder {
    records: Records,
    /// What all of them share: format, columns and file.
    headers: Headers,
    header_set: HeaderSet,
    columns: Option<CsvColumns>,
    fields: FieldMap,
    /// Whether a record's row leads back to its place in a file.
    has_rows: bool,
    /// Which of them were longer than a record may be, and how long they were.
    too_long: Vec<(usize, u64)>,
}

impl RecordFeeder {
    /// Collects the records of a request's body; `columns` when they are CSV rows.
    pub fn of_body(fields: &FieldMap, columns: Option<&CsvColumns>) -> RecordFeeder {
        RecordFeeder::new(fields, columns, None)
    }

    /// Collects the records of a file, each with its row; `columns` when they are CSV rows.
    pub fn of_file(file: &str, fields: &FieldMap, columns: Option<&CsvColumns>) -> RecordFeeder {
        RecordFeeder::new(fields, columns, Some(file))
    }

    fn new(fields: &FieldMap, columns: Option<&CsvColumns>, file: Option<&str>) -> RecordFeeder {
        let mut headers = Headers::default();
        if let Some(columns) = columns {
            headers = headers.with(header::FORMAT, "csv").with(header::COLUMNS, columns.wire());
        }
        if let Some(file) = file {
            headers = headers.with(header::SOURCE, file);
        }
        let mut records = Records::new();
        let header_set = records.add_headers(headers.clone());
        RecordFeeder {
            records,
            headers,
            header_set,
            columns: columns.cloned(),
            fields: fields.clone(),
            has_rows: file.is_some(),
            too_long: Vec::new(),
        }
    }

    /// Adds a record. False, and nothing added, when the buffer is full (1 GiB).
    #[must_use]
    pub fn add(&mut self, record: &InputRecord<'_>) -> bool {
        let key = self.fields.record_id(record.payload, self.columns.as_ref()).unwrap_or_default();
        let header_set = match record.truncated_from {
            None => self.header_set,
            Some(length) => {
                let headers = self.headers.clone().with(header::TRUNCATED_FROM, length.to_string());
                self.records.add_headers(headers)
            }
        };
        let fits = if self.has_rows {
            self.records.push_row(&key, record.payload, header_set, record.row)
        } else {
            self.records.push(&key, record.payload, header_set)
        };
        if let Some(length) = record.truncated_from.filter(|_| fits) {
            self.too_long.push((self.records.len() - 1, length));
        }
        fits
    }

    /// Adds a record that is nothing but these bytes, as made-up traffic is. False, and nothing added,
    /// when the buffer is full (1 GiB).
    #[must_use]
    pub fn add_payload(&mut self, payload: &[u8]) -> bool {
        self.add(&InputRecord { payload, row: 0, byte_offset: 0, truncated_from: None })
    }

    /// What was collected so far.
    pub fn records(&self) -> &Records {
        &self.records
    }

    /// The columns of CSV rows.
    pub fn columns(&self) -> Option<&CsvColumns> {
        self.columns.as_ref()
    }

    /// How many of the records were too long: only their beginning is kept.
    pub fn too_long(&self) -> u64 {
        self.too_long.len() as u64
    }

    /// The whole length of a record of which only the beginning is kept.
    pub fn truncated_from(&self, index: usize) -> Option<u64> {
        let found = self.too_long.binary_search_by_key(&index, |(at, _)| *at);
        found.ok().map(|found| self.too_long[found].1)
    }

    /// Gives what was collected and starts again.
    pub fn take(&mut self) -> Records {
        self.replace(Records::new())
    }

    /// The same, and makes room for as much again: for an input that continues.
    pub fn take_with_room(&mut self) -> Records {
        self.replace(self.records.next())
    }

    fn replace(&mut self, mut records: Records) -> Records {
        self.header_set = records.add_headers(self.headers.clone());
        self.too_long.clear();
        std::mem::replace(&mut self.records, records)
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

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use adpipe_event::{CSV_HEADER, Format, RecordReader};
    use adpipe_log::sqlite::SqliteLog;
    use adpipe_log::{EventLog, Offset, Topic};

    use super::*;

    /// Key, payload, headers and row.
    type Stored = (Vec<u8>, Vec<u8>, Headers, Option<u64>);

    fn fill(feeder: &mut RecordFeeder, reader: &mut RecordReader<&[u8]>) {
        while let Some(record) = reader.next_record().unwrap() {
            assert!(feeder.add(&record));
        }
    }

    /// What a log gives back of them, sorted.
    fn stored(records: Records) -> Vec<Stored> {
        let folder = tempfile::tempdir().unwrap();
        let log = SqliteLog::open(folder.path()).unwrap();
        log.append(Topic::Raw, records, None).unwrap().wait().unwrap();
        let mut stored = Vec::new();
        for partition in 0..3 {
            for batch in log.read(Topic::Raw, partition, Offset(0), 1 << 20).unwrap() {
                stored.extend(batch.iter().map(|record| {
                    let (key, payload) = (record.key.to_vec(), record.payload.to_vec());
                    (key, payload, record.headers.clone(), record.row)
                }));
            }
        }
        stored.sort_by(|left, right| left.0.cmp(&right.0));
        stored
    }

    /// Longest record.
    const MOST: usize = 300;

    /// A header, a short row and one that is too long.
    static CSV: LazyLock<Vec<u8>> =
        LazyLock::new(|| format!("{CSV_HEADER}\n1,0\n2,{}\n", "x".repeat(498)).into_bytes());

    fn reader() -> RecordReader<&'static [u8]> {
        RecordReader::new(CSV.as_slice(), Format::Csv, MOST)
    }

    /// The same input as a body and as a file.
    fn feeders() -> [RecordFeeder; 2] {
        let (mut reader, fields) = (reader(), FieldMap::default());
        let columns = reader.columns().unwrap().cloned();
        let of_body = RecordFeeder::of_body(&fields, columns.as_ref());
        [of_body, RecordFeeder::of_file("a.csv", &fields, columns.as_ref())]
    }

    #[test]
    fn a_body_and_a_file_give_the_same_records_but_for_the_place() {
        let [body, file] = feeders().map(|mut feeder| {
            fill(&mut feeder, &mut reader());
            assert_eq!(
                (feeder.too_long(), feeder.truncated_from(0), feeder.truncated_from(1)),
                (1, None, Some(500))
            );
            stored(feeder.take())
        });
        let without_file = |headers: &Headers| {
            Headers(headers.0.iter().filter(|(name, _)| name != header::SOURCE).cloned().collect())
        };
        assert_eq!(body.len(), 2);
        for (of_body, of_file) in body.iter().zip(&file) {
            assert_eq!(
                (&of_body.0, &of_body.1, &of_body.2),
                (&of_file.0, &of_file.1, &without_file(&of_file.2))
            );
            assert_eq!(of_file.2.text(header::SOURCE), Some("a.csv"));
        }
        let keys_and_rows = |stored: &[Stored]| -> Vec<(Vec<u8>, Option<u64>)> {
            stored.iter().map(|(key, _, _, row)| (key.clone(), *row)).collect()
        };
        assert_eq!(keys_and_rows(&body), [(b"1".to_vec(), None), (b"2".to_vec(), None)]);
        assert_eq!(keys_and_rows(&file), [(b"1".to_vec(), Some(2)), (b"2".to_vec(), Some(3))]);
        assert_eq!(body[0].2.text(header::FORMAT), Some("csv"));
        assert_eq!(
            (body[0].2.text(header::TRUNCATED_FROM), body[1].2.text(header::TRUNCATED_FROM)),
            (None, Some("500"))
        );
    }

    #[test]
    fn what_is_dropped_takes_its_marks_along() {
        let [_, mut feeder] = feeders();
        fill(&mut feeder, &mut reader());
        feeder.keep_last(1);
        assert_eq!((feeder.records().len(), feeder.truncated_from(0)), (1, Some(500)));
        feeder.keep_first(0);
        assert_eq!((feeder.records().len(), feeder.too_long()), (0, 0));
        // Headers are those of the new buffer, with room and without.
        fill(&mut feeder, &mut reader());
        assert_eq!(feeder.take_with_room().len(), 2);
        fill(&mut feeder, &mut reader());
        let again = stored(feeder.take());
        assert_eq!(again.len(), 2);
        assert!(again.iter().all(|(_, _, headers, _)| headers.text(header::SOURCE) == Some("a.csv")));
        assert_eq!(feeder.too_long(), 0);
    }
}
