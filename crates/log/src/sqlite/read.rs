//! Reading: every record that the partition's row promises, or an error that says which is missing.

use adpipe_sql::section;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::damage::{damage, located, unsigned};
use super::sums::{ChunkPlace, source_sum};
use super::{READ_SQL, Shared, identity, partition};
use crate::chunk::{self, Decoded};
use crate::{LogError, Offset, PartitionRange, RecordBatch, Topic};

const CHUNKS_FROM: &str = section(READ_SQL, "chunks_from");
const END_BEFORE: &str = section(READ_SQL, "end_before");
const POSITION: &str = section(READ_SQL, "position");

/// What `crc_covers` says of a chunk's checksum: the data only, as before migration 2 …
const COVERS_DATA: u32 = 0;
/// … or its place, too.
const COVERS_PLACE: u32 = 1;

/// What was found at an offset.
enum Found {
    Batches(Vec<RecordBatch>),
    /// The offset is not kept, or was never given to a record; this is the oldest one after it.
    OutOfRange(Offset),
}

/// Reads from an offset on, about `max_bytes`, but at least one chunk when there is one.
pub(super) fn read(
    shared: &Shared,
    topic: Topic,
    partition: u32,
    from: Offset,
    max_bytes: usize,
) -> Result<Vec<RecordBatch>, LogError> {
    let found = shared.with_reader(|connection| {
        // One snapshot: the partition's row and its chunks belong together.
        let transaction = connection.transaction()?;
        let place = format!("{} partition {partition} offset {from}", topic.name());
        find(&transaction, topic, partition, from, max_bytes).map_err(|error| located(error, &place))
    })?;
    match found {
        Found::Batches(batches) => Ok(batches),
        Found::OutOfRange(oldest) => {
            let (wanted, oldest) = (from.0, oldest.0);
            Err(LogError::OutOfRange { topic: topic.name(), partition, wanted, oldest })
        }
    }
}

fn find(
    connection: &Connection,
    topic: Topic,
    partition: u32,
    from: Offset,
    max_bytes: usize,
) -> rusqlite::Result<Found> {
    let range = partition::read(connection, topic, partition)?;
    if from < range.first || from > range.next {
        return Ok(Found::OutOfRange(range.first));
    }
    let mut batches = Vec::new();
    let mut expected = from;
    let mut bytes = 0;
    if from < range.next {
        let mut statement = connection.prepare_cached(CHUNKS_FROM)?;
        let mut rows = statement.query(params![topic.name(), partition, from.0 as i64])?;
        while bytes < max_bytes.max(1)
            && let Some(row) = rows.next()?
        {
            // What is sound comes first; whatever is wrong is reported when it is next.
            match Chunk::read(row).and_then(|chunk| chunk.batch(connection, topic, &range, expected)) {
                Ok(Some(batch)) => {
                    bytes += batch.byte_size().max(1);
                    expected = batch.next_offset();
                    batches.push(batch);
                }
                Ok(None) => break,
                Err(_) if !batches.is_empty() => break,
                Err(error) => return Err(error),
            }
        }
        if batches.is_empty() {
            return after_hole(connection, topic, &range, from);
        }
    }
    Ok(Found::Batches(batches))
}

/// No record is there although the partition continues: a gap that is on record, or damage.
fn after_hole(
    connection: &Connection,
    topic: Topic,
    range: &PartitionRange,
    from: Offset,
) -> rusqlite::Result<Found> {
    match identity::gap_at(connection, topic, range.partition, from)? {
        Some(gap) => Ok(Found::OutOfRange(gap.to)),
        None => {
            let place = format!("{} partition {} offset {from}", topic.name(), range.partition);
            Err(damage(format!(
                "{place}: the record is missing, although the partition ends at {}",
                range.next
            )))
        }
    }
}

/// A row of `chunks`.
struct Chunk<'row> {
    base_offset: u64,
    records: u64,
    raw_bytes: u64,
    stored_bytes: u64,
    crc32: u32,
    crc_covers: u32,
    appended_at_ms: i64,
    data: &'row [u8],
}

impl<'row> Chunk<'row> {
    fn read(row: &'row Row<'_>) -> rusqlite::Result<Chunk<'row>> {
        Ok(Chunk {
            base_offset: unsigned(row, 0)?,
            records: unsigned(row, 1)?,
            raw_bytes: unsigned(row, 2)?,
            stored_bytes: unsigned(row, 3)?,
            crc32: row.get(4)?,
            crc_covers: row.get(5)?,
            appended_at_ms: row.get(6)?,
            data: row.get_ref(7)?.as_blob()?,
        })
    }

    /// Its records from `expected` on; none when it does not hold that offset.
    fn batch(
        &self,
        connection: &Connection,
        topic: Topic,
        range: &PartitionRange,
        expected: Offset,
    ) -> rusqlite::Result<Option<RecordBatch>> {
        let partition = range.partition;
        let is_next = self.base_offset <= expected.0
            && self
                .base_offset
                .checked_add(self.records)
                .is_some_and(|end| expected.0 < end && end <= range.next.0);
        if !is_next {
            return Ok(None);
        }
        let decoded = self.decoded(topic, partition).map_err(|reason| {
            damage(format!("{} partition {partition} offset {}: {reason}", topic.name(), self.base_offset))
        })?;
        if self.crc_covers == COVERS_DATA && !self.follows(connection, topic, range)? {
            return Ok(None);
        }
        let mut batch = RecordBatch {
            topic,
            partition,
            covered_from: Offset(self.base_offset),
            base_offset: Offset(self.base_offset),
            appended_at_ms: self.appended_at_ms,
            times_ms: Vec::new(),
            data: decoded.data,
            spans: decoded.spans,
            header_sets: decoded.header_sets,
            rows: decoded.rows,
        };
        batch.skip_to(expected);
        Ok(Some(batch))
    }

    fn decoded(&self, topic: Topic, partition: u32) -> Result<Decoded, String> {
        let data_crc32 = crc32fast::hash(self.data);
        let found = match self.crc_covers {
            COVERS_DATA => data_crc32,
            COVERS_PLACE => self.place(topic, partition).sum(data_crc32),
            other => return Err(format!("its checksum is of the unknown kind {other}")),
        };
        if found != self.crc32 {
            return Err(format!("its checksum is {found:08x} and should be {:08x}", self.crc32));
        }
        if self.stored_bytes != self.data.len() as u64 {
            return Err(format!("it has {} bytes and should have {}", self.data.len(), self.stored_bytes));
        }
        let decoded = chunk::decode(self.data, self.raw_bytes)?;
        if decoded.spans.len() as u64 == self.records {
            Ok(decoded)
        } else {
            Err(format!("it has {} records and should have {}", decoded.spans.len(), self.records))
        }
    }

    fn place(&self, topic: Topic, partition: u32) -> ChunkPlace<'static> {
        ChunkPlace {
            topic: topic.name(),
            partition,
            base_offset: self.base_offset,
            records: self.records,
            raw_bytes: self.raw_bytes,
            appended_at_ms: self.appended_at_ms,
        }
    }

    /// The checksum of an old chunk says nothing of its place; what is before it does.
    fn follows(
        &self,
        connection: &Connection,
        topic: Topic,
        range: &PartitionRange,
    ) -> rusqlite::Result<bool> {
        let base_offset = Offset(self.base_offset);
        if base_offset == range.first {
            return Ok(true);
        }
        let end_before = connection
            .prepare_cached(END_BEFORE)?
            .query_row(params![topic.name(), range.partition, self.base_offset as i64], |row| {
                unsigned(row, 0)
            })
            .optional()?;
        match end_before {
            Some(end) if end == self.base_offset => Ok(true),
            Some(end) => {
                let gap = identity::gap_at(connection, topic, range.partition, Offset(end))?;
                Ok(gap.is_some_and(|gap| gap.to == base_offset))
            }
            None => Ok(false),
        }
    }
}

/// Where an unfinished source stopped.
pub(super) fn source_position(connection: &Connection, source: &str) -> rusqlite::Result<Option<u64>> {
    let read = |row: &Row<'_>| {
        let (position, updated_at_ms) = (unsigned(row, 0)?, row.get(1)?);
        let sum: Option<u32> = row.get(2)?;
        if sum == Some(source_sum(source, position, updated_at_ms)) {
            Ok(position)
        } else {
            Err(damage(format!("source {source:?}: the checksum of its position does not fit")))
        }
    };
    connection.prepare_cached(POSITION)?.query_row(params![source], read).optional()
}
