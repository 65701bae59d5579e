//! Kafka's single messages into batches of consecutive records.

use std::time::{SystemTime, UNIX_EPOCH};

use rdkafka::Message;
use rdkafka::message::{BorrowedMessage, Headers as _};

use crate::record::{Rows, Span, header};
use crate::{Headers, Offset, RecordBatch, Topic};

/// A batch is closed at this many bytes, far below what its 32-bit positions could hold.
const MAX_BATCH_BYTES: usize = 16 << 20;

/// Collects what one partition gives, from an offset on.
#[derive(Debug)]
pub(super) struct Collector {
    topic: Topic,
    partition: u32,
    /// After the last record taken: what comes next is this or, after a gap, more.
    next: Offset,
    open: Option<RecordBatch>,
}

impl Collector {
    pub fn new(topic: Topic, partition: u32, from: Offset) -> Collector {
        Collector { topic, partition, next: from, open: None }
    }

    pub fn partition(&self) -> u32 {
        self.partition
    }

    /// Offset after the last record taken.
    pub fn next(&self) -> Offset {
        self.next
    }

    /// Starts again at an offset.
    pub fn seek(&mut self, offset: Offset) {
        self.open = None;
        self.next = offset;
    }

    /// Takes a message. A batch comes back if this one no longer fits it: after a gap, or if it is
    /// large. A message from before the offset wanted is dropped.
    pub fn take(&mut self, message: &BorrowedMessage<'_>) -> Option<RecordBatch> {
        let offset = Offset(u64::try_from(message.offset()).ok()?);
        if offset < self.next {
            return None;
        }
        let continues = self
            .open
            .as_ref()
            .is_some_and(|open| open.next_offset() == offset && open.data.len() < MAX_BATCH_BYTES);
        let closed = if continues { None } else { self.open.take() };
        let (topic, partition, covered_from) = (self.topic, self.partition, self.next);
        let batch = self.open.get_or_insert_with(|| RecordBatch {
            topic,
            partition,
            covered_from,
            base_offset: offset,
            appended_at_ms: appended_at_ms(message),
            times_ms: Vec::new(),
            data: Vec::new(),
            spans: Vec::new(),
            header_sets: Vec::new(),
            rows: Rows::default(),
        });
        push(batch, message);
        self.next = Offset(offset.0 + 1);
        closed
    }

    /// The records taken since the last batch.
    pub fn close(&mut self) -> Option<RecordBatch> {
        self.open.take()
    }

    /// A batch without records, for the offsets up to `end` that hold none.
    pub fn cover(&mut self, end: Offset) -> RecordBatch {
        let covered_from = std::mem::replace(&mut self.next, end);
        RecordBatch {
            topic: self.topic,
            partition: self.partition,
            covered_from,
            base_offset: end,
            appended_at_ms: now_ms(),
            times_ms: Vec::new(),
            data: Vec::new(),
            spans: Vec::new(),
            header_sets: Vec::new(),
            rows: Rows::default(),
        }
    }
}

fn push(batch: &mut RecordBatch, message: &BorrowedMessage<'_>) {
    let (key, payload) = (message.key().unwrap_or_default(), message.payload().unwrap_or_default());
    let row = row_of(batch.topic, message);
    if !batch.header_sets.last().is_some_and(|newest| are_equal(newest, message, row)) {
        batch.header_sets.push(to_ours(message, row));
    }
    if let Some(row) = row {
        batch.rows.set(batch.spans.len(), row);
    }
    batch.times_ms.push(appended_at_ms(message));
    batch.spans.push(Span {
        start: batch.data.len() as u32,
        key_len: key.len() as u32,
        payload_len: payload.len() as u32,
        header_set: (batch.header_sets.len() - 1) as u32,
    });
    batch.data.extend_from_slice(key);
    batch.data.extend_from_slice(payload);
}

/// The row of a record's file, which every record has for itself. Only in the topic that files are
/// read into: elsewhere it is a header like others.
fn row_of(topic: Topic, message: &BorrowedMessage<'_>) -> Option<u64> {
    if topic != Topic::Raw {
        return None;
    }
    let own = message.headers()?.iter().find(|theirs| theirs.key == header::ROW)?;
    std::str::from_utf8(own.value?).ok()?.parse().ok().filter(|row| *row > 0)
}

/// Headers of a message but for its row, when that was read.
fn shared_headers<'a>(
    message: &'a BorrowedMessage<'_>,
    row: Option<u64>,
) -> impl Iterator<Item = (&'a str, &'a [u8])> {
    let all = message.headers().into_iter().flat_map(|headers| headers.iter());
    all.filter(move |theirs| row.is_none() || theirs.key != header::ROW)
        .map(|theirs| (theirs.key, theirs.value.unwrap_or_default()))
}

fn are_equal(ours: &Headers, message: &BorrowedMessage<'_>, row: Option<u64>) -> bool {
    shared_headers(message, row).eq(ours.0.iter().map(|(name, value)| (name.as_str(), value.as_slice())))
}

fn to_ours(message: &BorrowedMessage<'_>, row: Option<u64>) -> Headers {
    Headers(shared_headers(message, row).map(|(name, value)| (name.to_owned(), value.to_vec())).collect())
}

/// The time that the message carries, whenever it is read: a record that is read again must be the
/// same. Brokers that stamp the records themselves (`LogAppendTime`) make it the append time.
fn appended_at_ms(message: &BorrowedMessage<'_>) -> i64 {
    message.timestamp().to_millis().unwrap_or_else(now_ms)
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_millis() as i64)
}
