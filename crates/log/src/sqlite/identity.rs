//! The identity of this log, and the offsets that it skipped.

use adpipe_sql::section;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};

use super::appender::now_ms;
use super::damage::{damage, unsigned};
use super::partition;
use super::sums::{gap_sum, identity_sum, partition_sum, source_sum};
use crate::{LogGap, LogIdentity, Offset, Topic};

pub(super) const IDENTITY_SQL: &str = include_str!("../../sql/sqlite/identity.sql");
const IDENTITY: &str = section(IDENTITY_SQL, "identity");
const WRITE_IDENTITY: &str = section(IDENTITY_SQL, "write_identity");
const HAS_SUMS: &str = section(IDENTITY_SQL, "has_sums");
const MAKE_PARTITION: &str = section(IDENTITY_SQL, "make_partition");
const ALL_PARTITIONS: &str = section(IDENTITY_SQL, "all_partitions");
const WRITE_PARTITION: &str = section(IDENTITY_SQL, "write_partition");
const ALL_SOURCES: &str = section(IDENTITY_SQL, "all_sources");
const SET_SOURCE_SUM: &str = section(IDENTITY_SQL, "set_source_sum");
const ALL_GAPS: &str = section(IDENTITY_SQL, "all_gaps");
const SET_GAP_SUM: &str = section(IDENTITY_SQL, "set_gap_sum");
const INSERT_GAP: &str = section(IDENTITY_SQL, "insert_gap");
const GAPS: &str = section(IDENTITY_SQL, "gaps");
const HAS_CHUNKS: &str = section(IDENTITY_SQL, "has_chunks");

/// A partition that was raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Raised {
    /// Topic with the gap.
    pub topic: Topic,
    /// Partition of the topic, from 0.
    pub partition: u32,
    /// The offset that its next record would have got.
    pub before: Offset,
    /// The offset that its next record will get.
    pub goes_on_at: Offset,
}

struct StoredIdentity {
    identity: LogIdentity,
    created_at_ms: i64,
}

pub(super) fn read(connection: &Connection) -> rusqlite::Result<LogIdentity> {
    match stored(connection)? {
        Some(stored) => Ok(stored.identity),
        None => Err(damage("its identity is missing".to_owned())),
    }
}

fn stored(connection: &Connection) -> rusqlite::Result<Option<StoredIdentity>> {
    let mut statement = connection.prepare_cached(IDENTITY)?;
    statement
        .query_row([], |row| {
            let identity = LogIdentity { id: row.get(0)?, epoch: unsigned(row, 1)? };
            let (created_at_ms, sum): (i64, u32) = (row.get(2)?, row.get(3)?);
            if sum == identity_sum(&identity, created_at_ms) {
                Ok(StoredIdentity { identity, created_at_ms })
            } else {
                Err(damage("the checksum of its identity does not fit".to_owned()))
            }
        })
        .optional()
}

fn write(transaction: &Transaction<'_>, stored: &StoredIdentity) -> rusqlite::Result<()> {
    let StoredIdentity { identity, created_at_ms } = stored;
    let sum = identity_sum(identity, *created_at_ms);
    transaction.prepare_cached(WRITE_IDENTITY)?.execute(params![
        identity.id,
        identity.epoch as i64,
        created_at_ms,
        sum
    ])?;
    Ok(())
}

/// Completes a log that is new or was just upgraded: its partitions, its identity, and the checksums of
/// its rows. Once, by the first process.
pub(super) fn complete(connection: &mut Connection) -> rusqlite::Result<()> {
    if stored(connection)?.is_some() {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if stored(&transaction)?.is_some() {
        return Ok(());
    }
    if transaction.query_row(HAS_SUMS, [], |row| row.get(0))? {
        return Err(damage("its identity is missing".to_owned()));
    }
    for topic in Topic::ALL {
        for partition in 0..topic.default_partitions() {
            transaction.execute(MAKE_PARTITION, params![topic.name(), partition])?;
        }
    }
    sum_partitions(&transaction)?;
    sum_sources(&transaction)?;
    sum_gaps(&transaction)?;
    let created_at_ms = now_ms();
    let id = uuid::Builder::from_unix_timestamp_millis(created_at_ms.max(0) as u64, &rand::random());
    let identity = LogIdentity { id: id.into_uuid().hyphenated().to_string(), epoch: 0 };
    write(&transaction, &StoredIdentity { identity, created_at_ms })?;
    transaction.commit()
}

fn sum_partitions(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    let mut statement = transaction.prepare(ALL_PARTITIONS)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (topic, partition): (String, u32) = (row.get(0)?, row.get(1)?);
        let (first, next) = (unsigned(row, 2)?, unsigned(row, 3)?);
        let sum = partition_sum(&topic, partition, first, next);
        transaction.execute(WRITE_PARTITION, params![topic, partition, first as i64, next as i64, sum])?;
    }
    Ok(())
}

fn sum_sources(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    let mut statement = transaction.prepare(ALL_SOURCES)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let source: String = row.get(0)?;
        let sum = source_sum(&source, unsigned(row, 1)?, row.get(2)?);
        transaction.execute(SET_SOURCE_SUM, params![source, sum])?;
    }
    Ok(())
}

fn sum_gaps(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    let mut statement = transaction.prepare(ALL_GAPS)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let topic: String = row.get(0)?;
        let gap = gap_from(row, 1)?;
        let sum = gap_sum(&topic, &gap);
        transaction.execute(SET_GAP_SUM, params![topic, gap.partition, gap.from.0 as i64, sum])?;
    }
    Ok(())
}

/// Gives the next record of each partition at least this offset. What is skipped becomes a gap, and a
/// new epoch begins, in one transaction. Partitions that this log does not have are left out: the
/// keeper of another log's offsets judges them.
pub(super) fn raise(
    connection: &mut Connection,
    floors: &[(Topic, u32, Offset)],
) -> rusqlite::Result<Vec<Raised>> {
    // Looked at before anything is locked: nearly always there is nothing to raise.
    if !is_behind(connection, floors)? {
        return Ok(Vec::new());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut stored = stored(&transaction)?.ok_or_else(|| damage("its identity is missing".to_owned()))?;
    stored.identity.epoch += 1;
    let mut all_raised = Vec::new();
    for (topic, partition, floor) in floors {
        let ranges = partition::read_all(&transaction, *topic)?;
        let lower = |range: &&crate::PartitionRange| range.partition == *partition && range.next < *floor;
        let Some(range) = ranges.iter().find(lower) else { continue };
        let epoch = stored.identity.epoch;
        let gap = LogGap { partition: *partition, from: range.next, to: *floor, epoch, at_ms: now_ms() };
        insert_gap(&transaction, *topic, &gap)?;
        let has_chunks: bool =
            transaction.query_row(HAS_CHUNKS, params![topic.name(), partition], |row| row.get(0))?;
        let first = if has_chunks { range.first } else { *floor };
        let raised = crate::PartitionRange { partition: *partition, first, next: *floor };
        partition::write(&transaction, *topic, &raised)?;
        all_raised.push(Raised {
            topic: *topic,
            partition: *partition,
            before: range.next,
            goes_on_at: *floor,
        });
    }
    if !all_raised.is_empty() {
        write(&transaction, &stored)?;
        transaction.commit()?;
    }
    Ok(all_raised)
}

fn is_behind(connection: &Connection, floors: &[(Topic, u32, Offset)]) -> rusqlite::Result<bool> {
    for topic in Topic::ALL {
        for range in partition::read_all(connection, topic)? {
            let place = (topic, range.partition);
            if floors.iter().any(|(of, partition, floor)| (*of, *partition) == place && range.next < *floor) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn insert_gap(transaction: &Transaction<'_>, topic: Topic, gap: &LogGap) -> rusqlite::Result<()> {
    let sum = gap_sum(topic.name(), gap);
    transaction.prepare_cached(INSERT_GAP)?.execute(params![
        topic.name(),
        gap.partition,
        gap.from.0 as i64,
        gap.to.0 as i64,
        gap.epoch as i64,
        gap.at_ms,
        sum,
    ])?;
    Ok(())
}

/// The gaps of a topic, by partition and offset.
pub(super) fn gaps(connection: &Connection, topic: Topic) -> rusqlite::Result<Vec<LogGap>> {
    let mut statement = connection.prepare_cached(GAPS)?;
    let rows = statement.query_map(params![topic.name()], |row| {
        let gap = gap_from(row, 0)?;
        let sum: Option<u32> = row.get(5)?;
        if sum != Some(gap_sum(topic.name(), &gap)) {
            let place = format!("{} partition {} offset {}", topic.name(), gap.partition, gap.from);
            return Err(damage(format!("{place}: the checksum of a gap does not fit")));
        }
        Ok(gap)
    })?;
    rows.collect()
}

/// Five columns from `index` on.
fn gap_from(row: &Row<'_>, index: usize) -> rusqlite::Result<LogGap> {
    Ok(LogGap {
        partition: row.get(index)?,
        from: Offset(unsigned(row, index + 1)?),
        to: Offset(unsigned(row, index + 2)?),
        epoch: unsigned(row, index + 3)?,
        at_ms: row.get(index + 4)?,
    })
}

/// The gap that contains an offset.
pub(super) fn gap_at(
    connection: &Connection,
    topic: Topic,
    partition: u32,
    offset: Offset,
) -> rusqlite::Result<Option<LogGap>> {
    let gaps = gaps(connection, topic)?;
    let holds = |gap: &LogGap| gap.partition == partition && gap.from <= offset && offset < gap.to;
    Ok(gaps.into_iter().find(holds))
}
