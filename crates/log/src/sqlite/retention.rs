//! Dropping old chunks, a few at a time so that appends are never held up for long.

use adpipe_sql::section;
use rusqlite::{TransactionBehavior, params};

use super::appender::now_ms;
use super::{READ_SQL, Shared};
use crate::{LogError, Offset, RetentionPolicy, Retired, Topic};

const RETENTION_SQL: &str = include_str!("../../sql/sqlite/retention.sql");
const OLDEST_CHUNKS: &str = section(RETENTION_SQL, "oldest_chunks");
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
        let oldest: Vec<OldChunk> = transaction
            .prepare_cached(OLDEST_CHUNKS)?
            .query_map(params![topic.name(), partition, floor.0 as i64, CHUNKS_A_STEP], |row| {
                Ok(OldChunk {
                    id: row.get(0)?,
                    bytes: row.get::<_, i64>(1)? as u64,
                    records: row.get::<_, i64>(2)? as u64,
                    appended_at_ms: row.get(3)?,
                })
            })?
            .collect::<rusqlite::Result<_>>()?;
        for chunk in oldest {
            if chunk.appended_at_ms >= too_old_ms && stored_bytes <= policy.max_bytes {
                break;
            }
            transaction.prepare_cached(DELETE_CHUNK)?.execute(params![chunk.id])?;
            stored_bytes = stored_bytes.saturating_sub(chunk.bytes);
            step.records += chunk.records;
            step.bytes += chunk.bytes;
        }
        transaction.commit()?;
        Ok(step)
    })
}
