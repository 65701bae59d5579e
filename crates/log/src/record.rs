//! Records on their way into the log ([`Records`]) and out of it ([`RecordBatch`]).

use std::hash::BuildHasher;

use crate::Topic;

/// The position of a record in its partition, from 0, growing. Dense in the embedded log; Kafka
/// leaves gaps where it compacted a topic or noted the end of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Offset(pub u64);

impl std::fmt::Display for Offset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Header names and values of a record, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Headers(pub Vec<(String, Vec<u8>)>);

impl Headers {
    /// The value of the first header of that name.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_slice())
    }

    /// The value as text, when it is there and is UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// The value as a number, when it is there and is one.
    pub fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.text(name).and_then(|text| text.parse().ok())
    }

    /// Adds a header and returns the whole, for building in one expression.
    pub fn with(mut self, name: &str, value: impl Into<Vec<u8>>) -> Headers {
        self.0.push((name.to_owned(), value.into()));
        self
    }
}

/// Names of the headers that adpipe itself writes.
pub mod header {
    /// Wire format of the payload: absent for JSON, `csv` for one CSV row.
    pub const FORMAT: &str = "adpipe-format";
    /// The CSV header line that names the row's columns.
    pub const COLUMNS: &str = "adpipe-columns";
    /// The file a record was read from.
    pub const SOURCE: &str = "adpipe-source";
    /// The row of that file, from 1.
    pub const ROW: &str = "adpipe-row";
    /// Whole length in bytes of a record that was too long to keep.
    pub const TRUNCATED_FROM: &str = "adpipe-truncated-from";
    /// Retry: the error that is tried again.
    pub const RETRY_ERROR_ID: &str = "adpipe-retry-error-id";
    /// Retry: which try it is, from 1.
    pub const RETRY_ATTEMPT: &str = "adpipe-retry-attempt";
    /// What begins the name of every header that says why and where a record failed.
    pub const ERROR_PREFIX: &str = "adpipe-error-";
    /// Error record: topic of the record that failed.
    pub const ERROR_TOPIC: &str = "adpipe-error-topic";
    /// Error record: partition of the record that failed.
    pub const ERROR_PARTITION: &str = "adpipe-error-partition";
    /// Error record: offset of the record that failed.
    pub const ERROR_OFFSET: &str = "adpipe-error-offset";
    /// Error record: `parse`, `schema`, `validation`, `future`, `sink` or `archive`.
    pub const ERROR_TYPE: &str = "adpipe-error-type";
    /// Error record: what was wrong.
    pub const ERROR_MESSAGE: &str = "adpipe-error-message";
    /// Error record: the field that was wrong, when one is to blame.
    pub const ERROR_FIELD: &str = "adpipe-error-field";
    /// Error record: the event hour whose archive parts must be readable before it is sent again.
    pub const ERROR_WAITS_FOR: &str = "adpipe-error-waits-for";
    /// Error record: when it failed, milliseconds since the Unix epoch.
    pub const ERROR_AT: &str = "adpipe-error-at";
}

/// Where one record lies in a buffer: key first, payload right after it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub start: u32,
    pub key_len: u32,
    pub payload_len: u32,
    pub header_set: u32,
}

/// Records to be appended together: one buffer, no allocation per record.
#[derive(Debug, Clone, Default)]
pub struct Records {
    pub(crate) data: Vec<u8>,
    pub(crate) spans: Vec<Span>,
    pub(crate) header_sets: Vec<Headers>,
    pub(crate) rows: Rows,
}

/// The row of its file that each record was read from. It differs from record to record, so that a
/// header of it would let no two records share a set.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rows {
    /// 0 for a record without one; records after the last one have none either.
    numbers: Vec<u64>,
}

impl Rows {
    pub fn new(numbers: Vec<u64>) -> Rows {
        Rows { numbers }
    }

    pub fn get(&self, index: usize) -> Option<u64> {
        self.numbers.get(index).copied().filter(|row| *row > 0)
    }

    /// Notes the row of the record at an index after all that have one.
    pub fn set(&mut self, index: usize, row: u64) {
        self.numbers.resize(index, 0);
        self.numbers.push(row);
    }

    fn drop_first(&mut self, count: usize) {
        self.numbers.drain(..count.min(self.numbers.len()));
    }
}

/// Names a set of headers within one [`Records`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderSet(u32);

/// One buffer holds at most this many bytes, so that positions fit 32 bits with room to spare.
const MAX_BUFFER_BYTES: usize = 1 << 30;

impl Records {
    /// An empty buffer.
    pub fn new() -> Records {
        Records::default()
    }

    /// An empty buffer with room for so many bytes of keys and payloads, and so many records: one that
    /// grows to megabytes is copied again and again.
    fn with_capacity(bytes: usize, records: usize) -> Records {
        let (data, spans) = (Vec::with_capacity(bytes), Vec::with_capacity(records));
        Records { data, spans, header_sets: Vec::new(), rows: Rows::default() }
    }

    /// An empty buffer with room for as much as this one holds.
    pub fn next(&self) -> Records {
        Records::with_capacity(self.data.len() + self.data.len() / 16, self.len() + self.len() / 16)
    }

    /// Adds headers that any number of the following records may share.
    pub fn add_headers(&mut self, headers: Headers) -> HeaderSet {
        self.header_sets.push(headers);
        HeaderSet((self.header_sets.len() - 1) as u32)
    }

    /// Adds a record. False, and nothing added, when the buffer is full (1 GiB).
    #[must_use]
    pub fn push(&mut self, key: &[u8], payload: &[u8], headers: HeaderSet) -> bool {
        if self.data.len() + key.len() + payload.len() > MAX_BUFFER_BYTES {
            return false;
        }
        debug_assert!((headers.0 as usize) < self.header_sets.len());
        self.spans.push(Span {
            start: self.data.len() as u32,
            key_len: key.len() as u32,
            payload_len: payload.len() as u32,
            header_set: headers.0,
        });
        self.data.extend_from_slice(key);
        self.data.extend_from_slice(payload);
        true
    }

    /// Adds a record that was read from a row of a file, from 1. False, and nothing added, when the
    /// buffer is full (1 GiB).
    #[must_use]
    pub fn push_row(&mut self, key: &[u8], payload: &[u8], headers: HeaderSet, row: u64) -> bool {
        let fits = self.push(key, payload, headers);
        if fits {
            self.rows.set(self.spans.len() - 1, row);
        }
        fits
    }

    /// The row of the record at an index, when it was read from a file.
    pub fn row_at(&self, index: usize) -> Option<u64> {
        self.rows.get(index)
    }

    /// The payload of the record at an index.
    pub fn payload_at(&self, index: usize) -> Option<&[u8]> {
        self.spans.get(index).map(|span| self.payload(*span))
    }

    /// Keeps the first records only.
    pub fn keep_first(&mut self, count: usize) {
        self.spans.truncate(count);
        self.rows.numbers.truncate(count);
    }

    /// Drops the first records.
    pub fn drop_first(&mut self, count: usize) {
        self.spans.drain(..count.min(self.spans.len()));
        self.rows.drop_first(count);
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// True when there is no record.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Bytes of keys and payloads.
    pub fn byte_size(&self) -> usize {
        self.data.len()
    }

    pub(crate) fn key(&self, span: Span) -> &[u8] {
        &self.data[span.start as usize..(span.start + span.key_len) as usize]
    }

    pub(crate) fn payload(&self, span: Span) -> &[u8] {
        let start = (span.start + span.key_len) as usize;
        &self.data[start..start + span.payload_len as usize]
    }
}

/// The partition of a record: by its key, or by its payload when it has none.
///
/// The hash is fixed for good, because the same id must always meet the same partition.
pub fn partition_of(key: &[u8], payload: &[u8], partitions: u32) -> u32 {
    let hasher = foldhash::quality::FixedState::with_seed(0x61_64_70_69_70_65);
    let hash = hasher.hash_one(if key.is_empty() { payload } else { key });
    (hash % u64::from(partitions.max(1))) as u32
}

/// Records read from one partition, with consecutive offsets.
#[derive(Debug)]
pub struct RecordBatch {
    /// Topic it was read from.
    pub topic: Topic,
    /// Partition it was read from.
    pub partition: u32,
    /// Every offset from here to [`next_offset`](RecordBatch::next_offset) is accounted for by
    /// this batch. Smaller than `base_offset` where a gap without records comes first.
    pub covered_from: Offset,
    /// Offset of the first record; of a batch without records, the offset after a gap.
    pub base_offset: Offset,
    /// When the first record became durable, milliseconds since the Unix epoch.
    pub appended_at_ms: i64,
    /// When each of them did; empty when all did at once.
    pub(crate) times_ms: Vec<i64>,
    pub(crate) data: Vec<u8>,
    pub(crate) spans: Vec<Span>,
    pub(crate) header_sets: Vec<Headers>,
    pub(crate) rows: Rows,
}

/// One record of a [`RecordBatch`].
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// Its offset in the partition.
    pub offset: Offset,
    /// When it became durable, milliseconds since the Unix epoch.
    pub appended_at_ms: i64,
    /// Its key: for events the event's id.
    pub key: &'a [u8],
    /// Its payload, exactly as received.
    pub payload: &'a [u8],
    /// Its headers, of a record of `ad_events_raw` without its row.
    pub headers: &'a Headers,
    /// The row of its file, from 1, of a record of `ad_events_raw` that has one.
    pub row: Option<u64>,
    /// Index of the header set within the batch: equal index, equal headers.
    pub header_set: usize,
}

impl Record<'_> {
    /// Its headers with its row among them, as in a separate record.
    pub fn own_headers(&self) -> Headers {
        match self.row {
            Some(row) => self.headers.clone().with(header::ROW, row.to_string()),
            None => self.headers.clone(),
        }
    }
}

impl RecordBatch {
    /// Number of records.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// True when there is no record.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Offset after the last record.
    pub fn next_offset(&self) -> Offset {
        Offset(self.base_offset.0 + self.spans.len() as u64)
    }

    /// Bytes of keys and payloads.
    pub fn byte_size(&self) -> usize {
        self.data.len()
    }

    /// The record at an index, when there is one.
    pub fn get(&self, index: usize) -> Option<Record<'_>> {
        let span = self.spans.get(index)?;
        let key_start = span.start as usize;
        let payload_start = key_start + span.key_len as usize;
        Some(Record {
            offset: Offset(self.base_offset.0 + index as u64),
            appended_at_ms: self.times_ms.get(index).copied().unwrap_or(self.appended_at_ms),
            key: &self.data[key_start..payload_start],
            payload: &self.data[payload_start..payload_start + span.payload_len as usize],
            headers: &self.header_sets[span.header_set as usize],
            row: self.rows.get(index),
            header_set: span.header_set as usize,
        })
    }

    /// The records in order of their offsets.
    pub fn iter(&self) -> impl Iterator<Item = Record<'_>> {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    /// Drops the records before `first`, so that a batch which began earlier can be used.
    pub(crate) fn skip_to(&mut self, first: Offset) {
        let skip = first.0.saturating_sub(self.base_offset.0).min(self.spans.len() as u64);
        self.spans.drain(..skip as usize);
        self.times_ms.drain(..(skip as usize).min(self.times_ms.len()));
        self.rows.drop_first(skip as usize);
        self.base_offset = Offset(self.base_offset.0 + skip);
        self.covered_from = self.covered_from.max(first).min(self.base_offset);
    }
}
