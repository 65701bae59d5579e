//! Which records are in error, by the word of the commit that took them.
//!
//! Errors are appended to `ad_events_error` before the commit. When the process dies in between, the
//! records are processed again, and what was decided may change: another setting, another answer of
//! the database. What the commit says counts; an error that it does not know is void.

use std::time::Duration;

use adpipe_event::Millis;
use adpipe_sql::section;

use crate::{
    Commit, Schema, StreamTransaction, Table, Transaction, Value, Warehouse, WarehouseError, WarehouseRead,
    query_table,
};

const INVALID_SQL: &str = include_str!("../sql/report/invalid.sql");
const ADD: &str = section(INVALID_SQL, "add");
const SINCE: &str = section(INVALID_SQL, "since");
const BETWEEN: &str = section(INVALID_SQL, "between");
const OLD: &str = section(INVALID_SQL, "old");
const SET_SINCE: &str = section(INVALID_SQL, "set_since");
const DROP: &str = section(INVALID_SQL, "drop");

/// How long it is known of each record. The dead-letter queue needs it for seconds, `adpipe verify`
/// only if the queue was not running.
const KEPT: Duration = Duration::from_secs(86_400);

/// Offsets as few ranges, both ends included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OffsetSet {
    /// Ascending, and not adjacent.
    ranges: Vec<(u64, u64)>,
}

impl OffsetSet {
    /// True for an offset of the set.
    pub fn contains(&self, offset: u64) -> bool {
        let index = self.ranges.partition_point(|(_, last)| *last < offset);
        self.ranges.get(index).is_some_and(|(first, _)| *first <= offset)
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Number of offsets.
    pub fn len(&self) -> u64 {
        self.ranges.iter().map(|(first, last)| last - first + 1).sum()
    }

    /// Every offset, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u64> {
        self.ranges.iter().flat_map(|(first, last)| *first..=*last)
    }

    /// As stored: `5 7-9`.
    pub fn to_text(&self) -> String {
        let range = |(first, last): &(u64, u64)| {
            if first == last { first.to_string() } else { format!("{first}-{last}") }
        };
        self.ranges.iter().map(range).collect::<Vec<_>>().join(" ")
    }

    /// Reads what [`to_text`](OffsetSet::to_text) wrote; nothing when it is anything else.
    pub fn parse(text: &str) -> Option<OffsetSet> {
        let mut set = OffsetSet::default();
        for word in text.split(' ').filter(|word| !word.is_empty()) {
            let (first, last) = word.split_once('-').unwrap_or((word, word));
            let (first, last) = (first.parse().ok()?, last.parse().ok()?);
            let is_behind = set.ranges.last().is_none_or(|(_, before)| *before < first);
            if first > last || !is_behind {
                return None;
            }
            set.ranges.push((first, last));
        }
        Some(set)
    }
}

impl FromIterator<u64> for OffsetSet {
    fn from_iter<I: IntoIterator<Item = u64>>(offsets: I) -> OffsetSet {
        let mut sorted: Vec<u64> = offsets.into_iter().collect();
        sorted.sort_unstable();
        let mut set = OffsetSet::default();
        for offset in sorted {
            match set.ranges.last_mut() {
                Some((_, last)) if offset <= last.saturating_add(1) => *last = offset,
                _ => set.ranges.push((offset, offset)),
            }
        }
        set
    }
}

/// Writes which records of a commit are in error, in its transaction.
///
/// # Errors
/// Failures of the warehouse; when they are not as many as the commit counts, because the error of a record
/// that is counted and not named here would be void.
pub fn add(
    transaction: &mut dyn StreamTransaction,
    commit: &Commit,
    offsets: &OffsetSet,
) -> Result<(), WarehouseError> {
    if offsets.len() != commit.counts.invalid() {
        return Err(WarehouseError::Statement(format!(
            "{} partition {} offsets {} to {}: {} records in error are named and {} are counted",
            commit.topic,
            commit.partition,
            commit.first_offset,
            commit.next_offset,
            offsets.len(),
            commit.counts.invalid()
        )));
    }
    if offsets.is_empty() {
        return Ok(());
    }
    let text = offsets.to_text();
    let sum = row_sum(commit.topic, commit.partition, commit.first_offset, commit.next_offset, &text);
    let params = [
        commit.topic.into(),
        Value::Int(commit.partition.into()),
        Value::Int(commit.first_offset as i64),
        Value::Int(commit.next_offset as i64),
        commit.committed_at.to_string().into(),
        text.into(),
        Value::Int(sum.into()),
    ];
    transaction.execute(ADD, &params)?;
    Ok(())
}

fn row_sum(topic: &str, partition: u32, first: u64, next: u64, offsets: &str) -> u32 {
    crc32fast::hash(format!("{topic}\n{partition}\n{first}\n{next}\n{offsets}").as_bytes())
}

/// What the commits say of the records of a partition between two offsets.
#[derive(Debug, Clone)]
pub struct Verdicts {
    from: u64,
    to: u64,
    invalid: OffsetSet,
}

impl Verdicts {
    /// True for the offset of a record that a commit has taken, and not as one in error: an error
    /// that names it is void.
    pub fn is_void(&self, offset: u64) -> bool {
        offset >= self.from && offset < self.to && !self.invalid.contains(offset)
    }

    /// Offset from which on anything is known.
    pub fn from(&self) -> u64 {
        self.from
    }

    /// The records in error.
    pub fn invalid(&self) -> impl Iterator<Item = u64> {
        self.invalid.iter()
    }
}

/// Reads them. Everything before `committed` must be in commits.
///
/// # Errors
/// Failures of the warehouse, and damaged rows.
pub fn verdicts(
    warehouse: &dyn WarehouseRead,
    topic: &str,
    partition: u32,
    from: u64,
    committed: u64,
) -> Result<Verdicts, WarehouseError> {
    read(&mut |sql, params| query_table(warehouse, sql, params), topic, partition, from, committed)
}

/// The same within a transaction.
///
/// # Errors
/// Failures of the warehouse, and damaged rows.
pub fn verdicts_in(
    transaction: &mut dyn Transaction,
    topic: &str,
    partition: u32,
    from: u64,
    committed: u64,
) -> Result<Verdicts, WarehouseError> {
    read(&mut |sql, params| transaction.query(sql, params), topic, partition, from, committed)
}

type Query<'a> = dyn FnMut(&str, &[Value]) -> Result<Table, WarehouseError> + 'a;

fn read(
    query: &mut Query<'_>,
    topic: &str,
    partition: u32,
    from: u64,
    committed: u64,
) -> Result<Verdicts, WarehouseError> {
    let key = [Value::from(topic), Value::Int(partition.into())];
    let since = query(SINCE, &key)?;
    let since = since.first().map(|row| row.get::<u64>("next_offset")).transpose()?;
    let from = from.max(since.unwrap_or(0));
    let [topic_value, partition_value] = key;
    let params =
        [topic_value, partition_value, Value::Int(from as i64), Value::Int(committed.max(from) as i64)];
    let mut invalid = OffsetSet::default();
    for row in query(BETWEEN, &params)?.iter() {
        let (first, next, text) = (row.get("first_offset")?, row.get("next_offset")?, row.get("offsets")?);
        let is_whole = row.get::<i64>("row_sum")? == i64::from(row_sum(topic, partition, first, next, text));
        let set = OffsetSet::parse(text).filter(|_| is_whole).ok_or_else(|| WarehouseError::Unusable {
            location: "realtime.invalid_offsets".to_owned(),
            reason: format!(
                "{topic} partition {partition} offsets {first} to {next}: the row's checksum does not fit"
            ),
            advice: "restore the file from a copy, or build the warehouse again from archive and log",
        })?;
        invalid.ranges.extend(set.ranges);
    }
    Ok(Verdicts { from, to: committed.max(from), invalid })
}

/// Forgets the oldest.
///
/// # Errors
/// Failures of the warehouse.
pub fn retire(warehouse: &dyn Warehouse) -> Result<(), WarehouseError> {
    let before = Value::from(Millis(Millis::now().0 - KEPT.as_millis() as i64).to_string());
    let old = query_table(warehouse, OLD, &[before])?;
    if old.is_empty() {
        return Ok(());
    }
    let mut session = warehouse.session(Schema::Realtime)?;
    let mut transaction = session.begin()?;
    for partition in old.iter() {
        // Its columns are the parameters of both.
        transaction.execute(SET_SINCE, partition.values())?;
        transaction.execute(DROP, partition.values())?;
    }
    transaction.commit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_stored_as_ranges_and_read_back() {
        let set: OffsetSet = [9, 5, 7, 8, 12, 12].into_iter().collect();
        assert_eq!(set.to_text(), "5 7-9 12");
        assert_eq!(OffsetSet::parse(&set.to_text()).unwrap(), set);
        assert_eq!(set.iter().collect::<Vec<_>>(), [5, 7, 8, 9, 12]);
        let inside: Vec<u64> = (0..15).filter(|offset| set.contains(*offset)).collect();
        assert_eq!(inside, [5, 7, 8, 9, 12]);
        assert!(OffsetSet::parse("").unwrap().is_empty());
        for wrong in ["x", "9 5", "9-5", "5 5", "-1", "5-", "99999999999999999999"] {
            assert!(OffsetSet::parse(wrong).is_none(), "{wrong}");
        }
    }
}
