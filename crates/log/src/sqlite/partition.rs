//! The row of a partition: which offsets it holds.

use adpipe_sql::section;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::damage::{damage, located, unsigned};
use super::identity::IDENTITY_SQL;
use super::sums::partition_sum;
use crate::{Offset, PartitionRange, Topic};

const PARTITIONS: &str = section(IDENTITY_SQL, "partitions");
const PARTITION: &str = section(IDENTITY_SQL, "partition");
const WRITE_PARTITION: &str = section(IDENTITY_SQL, "write_partition");

/// Every partition of a topic, by its number; a missing one is damage.
pub(super) fn read_all(connection: &Connection, topic: Topic) -> rusqlite::Result<Vec<PartitionRange>> {
    let read = || {
        let mut statement = connection.prepare_cached(PARTITIONS)?;
        let rows = statement.query_map(params![topic.name()], |row| range_of(topic, row))?;
        rows.collect::<rusqlite::Result<Vec<PartitionRange>>>()
    };
    let ranges = read().map_err(|error| located(error, topic.name()))?;
    let are_all_there = ranges.len() >= topic.default_partitions() as usize
        && ranges.iter().enumerate().all(|(index, range)| range.partition as usize == index);
    if !are_all_there {
        let found: Vec<u32> = ranges.iter().map(|range| range.partition).collect();
        return Err(damage(format!("{}: only partitions {found:?} are listed", topic.name())));
    }
    Ok(ranges)
}

/// One partition; a missing one is damage.
pub(super) fn read(
    connection: &Connection,
    topic: Topic,
    partition: u32,
) -> rusqlite::Result<PartitionRange> {
    let mut statement = connection.prepare_cached(PARTITION)?;
    let range = statement.query_row(params![topic.name(), partition], |row| range_of(topic, row));
    range.optional()?.ok_or_else(|| damage(format!("{} partition {partition} is not listed", topic.name())))
}

pub(super) fn write(connection: &Connection, topic: Topic, range: &PartitionRange) -> rusqlite::Result<()> {
    let (first, next) = (range.first.0, range.next.0);
    let sum = partition_sum(topic.name(), range.partition, first, next);
    let params = params![topic.name(), range.partition, first as i64, next as i64, sum];
    connection.prepare_cached(WRITE_PARTITION)?.execute(params)?;
    Ok(())
}

fn range_of(topic: Topic, row: &Row<'_>) -> rusqlite::Result<PartitionRange> {
    let partition: u32 = row.get(0)?;
    let (first, next) = (unsigned(row, 1)?, unsigned(row, 2)?);
    let sum: Option<u32> = row.get(3)?;
    if sum != Some(partition_sum(topic.name(), partition, first, next)) || first > next {
        let place = format!("{} partition {partition} offsets {first} to {next}", topic.name());
        return Err(damage(format!("{place}: the row's checksum does not fit")));
    }
    Ok(PartitionRange { partition, first: Offset(first), next: Offset(next) })
}
