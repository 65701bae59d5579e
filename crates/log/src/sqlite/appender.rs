//! Group commit: one thread, one transaction and one fsync for all that waits.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use adpipe_sql::section;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::sums::{ChunkPlace, source_sum};
use super::{Shared, lock, partition};
use crate::chunk::{ChunkBuilder, Encoded};
use crate::{
    AppendReply, AppendTicket, LogError, MAX_QUEUED_BYTES, PartitionRange, Records, SourcePosition, Topic,
    partition_of,
};

const APPEND_SQL: &str = include_str!("../../sql/sqlite/append.sql");
const INSERT_CHUNK: &str = section(APPEND_SQL, "insert_chunk");
const SAVE_POSITION: &str = section(APPEND_SQL, "save_position");
const FORGET_SOURCE: &str = section(APPEND_SQL, "forget_source");

/// A chunk is closed at this size: large enough to compress well, small enough to read alone.
const CHUNK_BYTES: usize = 512 << 10;

/// The bookkeeping of an empty append counts, too, so that a flood of them is bounded.
const REQUEST_OVERHEAD_BYTES: usize = 256;

struct Request {
    topic: Topic,
    records: Records,
    position: Option<SourcePosition>,
    reply: AppendReply,
}

#[derive(Default)]
struct Waiting {
    requests: Vec<Request>,
    bytes: usize,
    closed: bool,
}

/// Appends that wait for the disk, bounded by their bytes.
#[derive(Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
}

impl Queue {
    pub fn push(
        &self,
        topic: Topic,
        records: Records,
        position: Option<SourcePosition>,
    ) -> Result<AppendTicket, LogError> {
        let bytes = records.byte_size() + REQUEST_OVERHEAD_BYTES;
        let mut waiting = lock(&self.waiting);
        if waiting.closed {
            return Err(LogError::Closed);
        }
        // A single append larger than the bound must still get through, alone.
        if waiting.bytes > 0 && waiting.bytes + bytes > MAX_QUEUED_BYTES {
            return Err(LogError::Busy { queued_bytes: waiting.bytes });
        }
        let (reply, ticket) = AppendTicket::new();
        waiting.requests.push(Request { topic, records, position, reply });
        waiting.bytes += bytes;
        self.arrived.notify_one();
        Ok(ticket)
    }

    pub fn close(&self) {
        lock(&self.waiting).closed = true;
        self.arrived.notify_one();
    }

    /// Everything that waits; `None` once closed and empty.
    fn take_all(&self) -> Option<Vec<Request>> {
        let waiting = lock(&self.waiting);
        let mut waiting = self
            .arrived
            .wait_while(waiting, |waiting| waiting.requests.is_empty() && !waiting.closed)
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        waiting.bytes = 0;
        let requests = std::mem::take(&mut waiting.requests);
        (!requests.is_empty()).then_some(requests)
    }
}

/// The append thread.
pub(super) fn run(shared: &Shared, mut connection: Connection) {
    while let Some(requests) = shared.queue.take_all() {
        let outcome = append_all(shared, &mut connection, &requests);
        if outcome.is_ok() {
            shared.appended.raise();
        }
        for request in requests {
            request.reply.send(outcome.clone());
        }
    }
}

fn append_all(shared: &Shared, connection: &mut Connection, requests: &[Request]) -> Result<(), LogError> {
    // Compression comes before the transaction: other processes wait for its lock.
    let chunks = encode(requests).map_err(|error| {
        let reason = format!("cannot compress records: {error}");
        LogError::unavailable(&shared.path, reason, "check the memory that this process may use")
    })?;
    store(connection, &chunks, requests).map_err(|error| shared.failure(&error))
}

type PartitionChunks = BTreeMap<(Topic, u32), Vec<Encoded>>;

fn encode(requests: &[Request]) -> std::io::Result<PartitionChunks> {
    let mut chunks = PartitionChunks::new();
    let mut builders: BTreeMap<(Topic, u32), ChunkBuilder> = BTreeMap::new();
    for (request_index, request) in requests.iter().enumerate() {
        let records = &request.records;
        for (index, span) in records.spans.iter().enumerate() {
            let (key, payload) = (records.key(*span), records.payload(*span));
            let partition = partition_of(key, payload, request.topic.default_partitions());
            let place = (request.topic, partition);
            let builder = builders.entry(place).or_default();
            let headers = &records.header_sets[span.header_set as usize];
            builder.push(request_index, span.header_set, headers, records.row_at(index), (key, payload));
            if builder.raw_bytes() >= CHUNK_BYTES {
                chunks.entry(place).or_default().push(std::mem::take(builder).finish()?);
            }
        }
    }
    for (place, builder) in builders {
        if !builder.is_empty() {
            chunks.entry(place).or_default().push(builder.finish()?);
        }
    }
    Ok(chunks)
}

fn store(
    connection: &mut Connection,
    chunks: &PartitionChunks,
    requests: &[Request],
) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let now_ms = now_ms();
    for ((topic, partition_number), chunks) in chunks {
        let mut range = partition::read(&transaction, *topic, *partition_number)?;
        for chunk in chunks {
            insert(&transaction, *topic, &range, chunk, now_ms)?;
            range.next.0 += u64::from(chunk.records);
        }
        partition::write(&transaction, *topic, &range)?;
    }
    for position in requests.iter().filter_map(|request| request.position.as_ref()) {
        match position.position {
            Some(rows) => transaction.prepare_cached(SAVE_POSITION)?.execute(params![
                position.source,
                rows as i64,
                now_ms,
                source_sum(&position.source, rows, now_ms),
            ])?,
            None => transaction.prepare_cached(FORGET_SOURCE)?.execute(params![position.source])?,
        };
    }
    transaction.commit()
}

/// Stores a chunk at the partition's end.
fn insert(
    transaction: &Transaction<'_>,
    topic: Topic,
    range: &PartitionRange,
    chunk: &Encoded,
    now_ms: i64,
) -> rusqlite::Result<()> {
    let place = ChunkPlace {
        topic: topic.name(),
        partition: range.partition,
        base_offset: range.next.0,
        records: u64::from(chunk.records),
        raw_bytes: chunk.raw_bytes as u64,
        appended_at_ms: now_ms,
    };
    transaction.prepare_cached(INSERT_CHUNK)?.execute(params![
        place.topic,
        place.partition,
        place.base_offset as i64,
        chunk.records,
        chunk.raw_bytes as i64,
        chunk.data.len() as i64,
        place.sum(chunk.data_crc32),
        now_ms,
        chunk.data,
    ])?;
    Ok(())
}

pub(super) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_millis() as i64)
}
