//! Dropping old chunks, a few at a time so that appends are never held up for long.

use adpipe_sql::section;
use rusqlite::{Transaction, TransactionBehavior, params};

use super::appender::now_ms;
use super::damage::{damage, unsigned};
use super::{READ_SQL, Shared, identity, partition};
use crate::{LogError, Offset, PartitionRange, RetentionPolicy, Retired, Topic};

const RETENTION_SQL: &str = include_str!("../../sql/sqlite/retention.sql");
const OLDEST_CHUNKS: &str = section(RETENTION_SQL, "oldest_chunks");
const NEXT_CHUNK: &str = section(RETENTION_SQL, "next_chunk");
const DELETE_CHUNK: &str = section(RETENTION_SQL, "delete_chunk");
const FORGET_STALE_SOURCES: &str = section(RETENTION_SQL, "forget_stale_sources");
const SIZE: &str = section(READ_SQL, "size");

/// Chunks dropped in one transaction.
const CHUNKS_A_STEP: u32 = 64;

/// Pages given back to the disk in one step.
const PAGES_A_STEP: u32 = 2_000;

/// An ingest that was not taken up again for this long is forgotten.
const STALE_SOURCE_MS: i64 = 30 * 24 * 3_600_000;

struct OldChunk {
    id: i64,
    bytes: u64,
    base_offset: Offset,
    records: u64,
    appended_at_ms: i64,
}

pub(super) fn retire(
    shared: &Shared,
    policy: RetentionPolicy,
    floors: &[(Topic, u32, Offset)],
) -> Result<Retired, LogError> {
    let mut retired = Retired::default();
    let mut stored_bytes: u64 = shared.with_reader(|connection| {
        connection.query_row(SIZE, [], |row| row.get::<_, i64>(0)).map(|bytes| bytes as u64)
    })?;
    for floor in floors {
        loop {
            let step = retire_step(shared, policy, stored_bytes, *floor)?;
            if step.records == 0 {
                break;
            }
            stored_bytes = stored_bytes.saturating_sub(step.bytes);
            retired.bytes += step.bytes;
            retired.records += step.records;
        }
    }
    shared.with_reader(|connection| {
        connection.execute(FORGET_STALE_SOURCES, params![now_ms() - STALE_SOURCE_MS])?;
        if retired.records > 0 {
            let mut vacuum = connection.prepare(&format!("pragma incremental_vacuum({PAGES_A_STEP})"))?;
            let mut steps = vacuum.query([])?;
            while steps.next()?.is_some() {}
        }
        Ok(())
    })?;
    Ok(retired)
}

/// Drops a few chunks below one floor, if the policy says so.
fn retire_step(
    shared: &Shared,
    policy: RetentionPolicy,
    mut stored_bytes: u64,
    (topic, partition, floor): (Topic, u32, Offset),
) -> Result<Retired, LogError> {
    let too_old_ms = now_ms() - policy.max_age.as_millis() as i64;
    shared.with_reader(|connection| {
        let mut step = Retired::default();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut range = partition::read(&transaction, topic, partition)?;
        for chunk in oldest_chunks(&transaction, topic, partition, floor)? {
            if chunk.appended_at_ms >= too_old_ms && stored_bytes <= policy.max_bytes {
                break;
            }
            // A hole is not removed with what is around it: it would never be found.
            must_follow(&transaction, topic, &range, chunk.base_offset)?;
            transaction.prepare_cached(DELETE_CHUNK)?.execute(params![chunk.id])?;
            range.first = Offset(chunk.base_offset.0 + chunk.records);
            stored_bytes = stored_bytes.saturating_sub(chunk.bytes);
            step.records += chunk.records;
            step.bytes += chunk.bytes;
        }
        if step.records > 0 {
            let next_chunk = transaction
                .prepare_cached(NEXT_CHUNK)?
                .query_row(params![topic.name(), partition], |row| row.get::<_, Option<i64>>(0))?;
            let first = next_chunk.map_or(range.next, |first| Offset(first as u64));
            must_follow(&transaction, topic, &range, first)?;
            range.first = first;
            partition::write(&transaction, topic, &range)?;
        }
        transaction.commit()?;
        Ok(step)
    })
}

fn oldest_chunks(
    transaction: &Transaction<'_>,
    topic: Topic,
    partition: u32,
    floor: Offset,
) -> rusqlite::Result<Vec<OldChunk>> {
    transaction
        .prepare_cached(OLDEST_CHUNKS)?
        .query_map(params![topic.name(), partition, floor.0 as i64, CHUNKS_A_STEP], |row| {
            Ok(OldChunk {
                id: row.get(0)?,
                bytes: unsigned(row, 1)?,
                base_offset: Offset(unsigned(row, 2)?),
                records: unsigned(row, 3)?,
                appended_at_ms: row.get(4)?,
            })
        })?
        .collect()
}

/// What is oldest now must begin where the range does, or after gaps that are on record.
fn must_follow(
    transaction: &Transaction<'_>,
    topic: Topic,
    range: &PartitionRange,
    found: Offset,
) -> rusqlite::Result<()> {
    let mut expected = range.first;
    while expected < found {
        match identity::gap_at(transaction, topic, range.partition, expected)? {
            Some(gap) => expected = gap.to,
            None => break,
        }
    }
    if expected == found {
        Ok(())
    } else {
        let place = format!("{} partition {} offset {expected}", topic.name(), range.partition);
        Err(damage(format!("{place}: the next records that are there begin at {found}")))
    }
}
