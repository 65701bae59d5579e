//! The account against the log and the dead-letter queue, by partition.

use adpipe_counting::pending_errors::ErrorOffsets;
use adpipe_log::{EventLog, PartitionRange, Topic};
use adpipe_warehouse::audit::{self, CommitRow};
use adpipe_warehouse::invalid::{Verdicts, verdicts};
use adpipe_warehouse::lost::LostRecords;
use adpipe_warehouse::{WarehouseRead, errors};

use super::{Check, check};
use crate::StreamError;

/// Gaps named one by one.
const SHOWN_GAPS: usize = 20;

/// A partition that the processor reads.
pub(super) struct ReadPartition {
    pub topic: Topic,
    pub range: PartitionRange,
    /// Everything before this offset is counted.
    pub committed: u64,
    /// Whether anything of it ever was.
    pub is_begun: bool,
    /// Which of its records are in error, by the commits that took them.
    pub verdicts: Verdicts,
}

impl ReadPartition {
    pub fn holds(&self, commit: &CommitRow) -> bool {
        commit.partition == self.range.partition && commit.topic == self.topic.name()
    }

    pub fn names(&self, lost: &LostRecords) -> bool {
        lost.partition == self.range.partition && lost.topic == self.topic.name()
    }

    pub fn key(&self) -> (String, u32) {
        (self.topic.name().to_owned(), self.range.partition)
    }
}

impl std::fmt::Display for ReadPartition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} partition {}", self.topic.name(), self.range.partition)
    }
}

/// No offset and no commit is of a partition that the log does not have.
pub(super) fn every_partition_is_known(
    warehouse: &dyn WarehouseRead,
    partitions: &[ReadPartition],
    commits: &[CommitRow],
) -> Result<Check, StreamError> {
    let mut gaps = Vec::new();
    for (topic, partition) in audit::offset_places(warehouse)? {
        if !partitions.iter().any(|part| part.key() == (topic.clone(), partition)) {
            gaps.push(format!("realtime.offsets has {topic} partition {partition}, and the log has not"));
        }
    }
    let strangers =
        commits.iter().filter(|commit| !partitions.iter().any(|part| part.is_begun && part.holds(commit)));
    gaps.extend(strangers.map(|commit| {
        format!(
            "the account has {} partition {} offset {}, and realtime.offsets does not have that partition",
            commit.topic, commit.partition, commit.first_offset
        )
    }));
    gaps.truncate(SHOWN_GAPS);
    Ok(check(
        "every account is of a partition that is read",
        gaps,
        format!("{} partitions", partitions.len()),
    ))
}

pub(super) fn read_partitions(
    log: &dyn EventLog,
    warehouse: &dyn WarehouseRead,
) -> Result<Vec<ReadPartition>, StreamError> {
    let mut partitions = Vec::new();
    for topic in adpipe_counting::TOPICS {
        let offsets = warehouse.offsets(topic.name())?;
        for range in log.ranges(topic)? {
            let stored = offsets.iter().find(|offset| offset.partition == range.partition);
            let committed = stored.map_or(0, |offset| offset.next_offset);
            let verdicts = verdicts(warehouse, topic.name(), range.partition, 0, committed)?;
            partitions.push(ReadPartition { topic, range, committed, is_begun: stored.is_some(), verdicts });
        }
    }
    Ok(partitions)
}

/// Every offset up to the stored one is in exactly one commit.
pub(super) fn account_is_whole(
    partitions: &[ReadPartition],
    commits: &[CommitRow],
    is_dense: bool,
    lost: &[LostRecords],
) -> Check {
    let mut gaps = Vec::new();
    let mut records = 0;
    for part in partitions.iter().filter(|part| part.is_begun) {
        let of_partition = || commits.iter().filter(|commit| part.holds(commit));
        // A warehouse that was begun when the log had already retired records starts after them; one
        // that has only been begun has no commit yet.
        let mut expected = of_partition().map(|commit| commit.first_offset).min().unwrap_or(part.committed);
        // Records that are on record as lost were in no commit; they are a line of their own.
        let is_lost = |from: u64, to: u64| {
            lost.iter().any(|lost| {
                part.names(lost)
                    && (lost.first_offset..lost.next_offset).contains(&from)
                    && lost.next_offset == to
            })
        };
        for commit in of_partition() {
            if commit.first_offset != expected && !is_lost(expected, commit.first_offset) {
                gaps.push(format!("{part}: commits go from {expected} to {}", commit.first_offset));
            }
            if commit.records != commit.valid + commit.duplicates + commit.invalid {
                gaps.push(format!("{part}: commit at {expected} does not add up"));
            }
            let offsets = commit.next_offset.saturating_sub(commit.first_offset);
            if is_dense && commit.records != offsets {
                gaps.push(format!(
                    "{part} offsets {} to {}: {} records for {offsets} offsets",
                    commit.first_offset, commit.next_offset, commit.records
                ));
            }
            expected = commit.next_offset;
            records += commit.records;
        }
        if expected != part.committed && !is_lost(expected, part.committed) {
            gaps.push(format!("{part}: commits end at {expected}, the offset is {}", part.committed));
        }
    }
    check("input = valid + duplicate + invalid, for every offset", gaps, format!("{records} records"))
}

/// The log kept every record until it was counted, and every error until it was stored.
pub(super) fn nothing_is_torn(
    log: &dyn EventLog,
    warehouse: &dyn WarehouseRead,
    partitions: &[ReadPartition],
) -> Result<Check, StreamError> {
    let mut gaps = Vec::new();
    for part in partitions.iter().filter(|part| part.is_begun) {
        let (first, committed) = (part.range.first.0, part.committed);
        if first > committed {
            gaps.push(format!(
                "{part}: offsets {committed} to {first} were removed from the log before they were counted"
            ));
        }
    }
    let stored = errors::offsets(warehouse)?;
    for range in log.ranges(Topic::Error)? {
        let reached = stored.iter().find(|offset| offset.partition == range.partition);
        if let Some(reached) = reached.filter(|reached| reached.next_offset < range.first.0) {
            gaps.push(format!(
                "{} partition {}: offsets {} to {} were removed from the log before they were stored",
                Topic::Error.name(),
                range.partition,
                reached.next_offset,
                range.first
            ));
        }
    }
    Ok(check("no record left the log before it was counted", gaps, "none is missing".to_owned()))
}

pub(super) fn every_error_is_kept(
    warehouse: &dyn WarehouseRead,
    partitions: &[ReadPartition],
    commits: &[CommitRow],
    pending: &ErrorOffsets,
) -> Result<Check, StreamError> {
    let mut gaps = Vec::new();
    let (mut total, mut waiting) = (0, 0);
    for part in partitions {
        let recorded: u64 =
            commits.iter().filter(|commit| part.holds(commit)).map(|commit| commit.invalid).sum();
        let (topic, partition) = (part.topic.name(), part.range.partition);
        let mut stored = errors::recorded(warehouse, topic, partition, part.committed)?;
        // Those of an attempt that was not committed, as long as the queue has yet to find out.
        errors::positions(warehouse, topic, partition, part.verdicts.from(), |offset| {
            stored = stored.saturating_sub(u64::from(part.verdicts.is_void(offset)));
        })?;
        let counts = |offset: &&u64| **offset < part.committed && !part.verdicts.is_void(**offset);
        let named = pending.get(&part.key());
        let named = named.map_or(0, |named| named.iter().filter(counts).count() as u64);
        total += stored + named;
        waiting += named;
        if recorded != stored + named {
            gaps.push(format!(
                "{part}: {recorded} errors were counted, the dead-letter queue has {stored} and {named} are on their way"
            ));
        }
    }
    let detail = match waiting {
        0 => format!("{total} errors"),
        waiting => format!("{total} errors, {waiting} of them still in ad_events_error"),
    };
    Ok(check("every error is in the dead-letter queue", gaps, detail))
}
