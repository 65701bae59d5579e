//! Every record that the log still holds, read again and looked for.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use adpipe_counting::archived::{ArchivedIds, hours_of};
use adpipe_counting::micro_batch::Parsing;
use adpipe_counting::pending_errors::ErrorOffsets;
use adpipe_event::{EventBatch, FieldMap, Millis, Rules};
use adpipe_log::{LogError, Offset, Record, RecordBatch};
use adpipe_runtime::progress::Unit;
use adpipe_warehouse::audit::CommitRow;
use adpipe_warehouse::{ArchiveIds, WarehouseRead, archive, errors};

use super::account::ReadPartition;
use super::{Check, Scope, check};
use crate::StreamError;

/// Bytes read from the log at once.
const READ_BYTES: usize = 4 << 20;

/// Hours that could not be looked into, named one by one.
const SHOWN_HOURS: usize = 10;

/// Every record that the log still holds is an event of the warehouse or an error.
pub(super) fn nothing_is_missing(
    scope: &Scope<'_>,
    warehouse: &dyn WarehouseRead,
    partitions: &[ReadPartition],
    commits: &[CommitRow],
    pending: &ErrorOffsets,
) -> Result<Check, StreamError> {
    let Scope { archive, progress, .. } = *scope;
    let still_held = |part: &ReadPartition| part.committed.saturating_sub(part.range.first.0);
    progress.expect(partitions.iter().map(still_held).sum(), Unit::Records);
    let mut gaps = Vec::new();
    let mut recounted = 0;
    let mut archived =
        Archived { warehouse, source: archive, ids: ArchivedIds::default(), unreadable: BTreeMap::new() };
    for part in partitions {
        let errors = errors_of(warehouse, part, pending)?;
        let first = part.range.first.0;
        let is_lost = |offset: &u64| *offset >= first && !errors.contains(offset);
        if let Some(offset) = part.verdicts.invalid().find(is_lost) {
            gaps.push(format!("{part} offset {offset}: counted as an error, but not in any queue"));
        }
        let of_partition: Vec<&CommitRow> = commits.iter().filter(|commit| part.holds(commit)).collect();
        let found = recount(scope, &mut archived, part, &of_partition, &errors)?;
        recounted += found.by_commit.iter().map(|counted| counted.events + counted.errors).sum::<u64>();
        gaps.extend(found.gaps(part, &of_partition));
    }
    let unreadable = archived.unreadable.iter().take(SHOWN_HOURS);
    gaps.extend(
        unreadable.map(|(hour, reason)| format!("events of hour {hour} could not be checked: {reason}")),
    );
    if archived.unreadable.len() > SHOWN_HOURS {
        gaps.push(format!("and of {} more hours", archived.unreadable.len() - SHOWN_HOURS));
    }
    Ok(check(
        "every record of the log is an event or an error",
        gaps,
        format!("{recounted} records recounted"),
    ))
}

/// Offsets of a partition's records that are in error: in the queue, or on their way there.
fn errors_of(
    warehouse: &dyn WarehouseRead,
    part: &ReadPartition,
    pending: &ErrorOffsets,
) -> Result<HashSet<u64>, StreamError> {
    let mut errors = pending.get(&part.key()).cloned().unwrap_or_default();
    let (partition, first) = (part.range.partition, part.range.first.0);
    errors::positions(warehouse, part.topic.name(), partition, first, |offset| {
        errors.insert(offset);
    })?;
    errors.retain(|offset| !part.verdicts.is_void(*offset));
    Ok(errors)
}

/// What the log's records of one partition are.
struct Recount {
    /// By commit, in the order of the commits.
    by_commit: Vec<Counted>,
    first_missing: Option<u64>,
}

impl Recount {
    /// Where it does not agree with the commits, in words.
    fn gaps(&self, part: &ReadPartition, commits: &[&CommitRow]) -> Vec<String> {
        let missing = self.first_missing.into_iter();
        let mut gaps: Vec<String> =
            missing.map(|offset| format!("{part} offset {offset}: neither an event nor an error")).collect();
        for (commit, counted) in commits.iter().zip(&self.by_commit) {
            // Of a commit that the log holds only in part, only its records could be looked at.
            let is_whole = counted.events + counted.errors == commit.records;
            if is_whole && counted.errors != commit.invalid {
                gaps.push(format!(
                    "{part} offsets {} to {}: the log has {} errors, the account {}",
                    commit.first_offset, commit.next_offset, counted.errors, commit.invalid
                ));
            }
        }
        gaps
    }
}

#[derive(Default, Clone, Copy)]
struct Counted {
    events: u64,
    errors: u64,
}

/// The warehouse, and the archive for what is no longer in it.
struct Archived<'a> {
    warehouse: &'a dyn WarehouseRead,
    source: Option<&'a dyn ArchiveIds>,
    ids: ArchivedIds,
    /// Hours in which events could not be looked for, and why.
    unreadable: BTreeMap<Millis, Arc<str>>,
}

impl Archived<'_> {
    /// Which of these events are there, by index.
    fn contains(&mut self, events: &EventBatch) -> Result<Vec<bool>, StreamError> {
        let mut is_there = self.warehouse.contains(events)?;
        if is_there.iter().all(|is_there| *is_there) {
            return Ok(is_there);
        }
        let mut archived = Vec::new();
        for hour in hours_of(events) {
            archived.extend(archive::archived_hour(self.warehouse, hour)?);
        }
        for hour in self.ids.unknown(&archived) {
            self.ids.load(self.warehouse, self.source, hour.hour)?;
        }
        let judged = self.ids.judge(events, &archived);
        for (is_there, is_archived) in is_there.iter_mut().zip(judged.except) {
            *is_there |= is_archived;
        }
        for (hour, reason) in judged.unreadable {
            self.unreadable.entry(hour).or_insert(reason);
        }
        Ok(is_there)
    }
}

fn recount(
    scope: &Scope<'_>,
    warehouse: &mut Archived<'_>,
    part: &ReadPartition,
    commits: &[&CommitRow],
    errors: &HashSet<u64>,
) -> Result<Recount, StreamError> {
    let Scope { log, fields, progress, .. } = *scope;
    let (partition, from, to) = (part.range.partition, part.range.first, Offset(part.committed));
    let mut recounting = Recounting::new(fields, to, commits, errors);
    let mut next = from;
    while next < to {
        let batches = match log.read(part.topic, partition, next, READ_BYTES) {
            // A log that was restored from a copy continues after a gap; what was in the gap is
            // counted.
            Err(LogError::OutOfRange { oldest, .. }) if oldest > next.0 => {
                next = Offset(oldest);
                continue;
            }
            other => other?,
        };
        let Some(last) = batches.last() else { break };
        let before = next;
        next = last.next_offset();
        progress.add(next.min(to).0 - before.0);
        for batch in &batches {
            recounting.add(batch, warehouse)?;
        }
    }
    Ok(recounting.found)
}

/// A partition that is being recounted.
struct Recounting<'a> {
    readers: Vec<Parsing>,
    /// Everything before this offset is counted.
    to: Offset,
    commits: &'a [&'a CommitRow],
    /// Index of the commit that the next record belongs to.
    commit: usize,
    /// Offsets of the records in error.
    errors: &'a HashSet<u64>,
    found: Recount,
}

impl<'a> Recounting<'a> {
    fn new(
        fields: &FieldMap,
        to: Offset,
        commits: &'a [&'a CommitRow],
        errors: &'a HashSet<u64>,
    ) -> Recounting<'a> {
        // Whether an event's time was ahead of the clock was decided then; the error topic remembers.
        // Records from before the mapping of fields, or of the demo, have our own names.
        let own = (!fields.is_empty()).then(FieldMap::default);
        let maps = std::iter::once(fields.clone()).chain(own);
        let readers = maps.map(|map| Parsing::new(Rules::of_any_time(map))).collect();
        let found = Recount { by_commit: vec![Counted::default(); commits.len()], first_missing: None };
        Recounting { readers, to, commits, commit: 0, errors, found }
    }

    /// Counts the records of a batch, and looks for its events in the warehouse.
    fn add(&mut self, batch: &RecordBatch, warehouse: &mut Archived<'_>) -> Result<(), StreamError> {
        let mut events = EventBatch::new();
        let mut event_offsets = Vec::new();
        self.readers.iter_mut().for_each(Parsing::start_run);
        let to = self.to;
        for record in batch.iter().filter(|record| record.offset < to) {
            if self.count(record.offset) {
                continue;
            }
            if self.parse(&record, &mut events) {
                event_offsets.push(record.offset.0)
            } else {
                self.miss(record.offset.0)
            }
        }
        let is_there = warehouse.contains(&events)?;
        if let Some(index) = is_there.iter().position(|is_there| !is_there) {
            self.miss(event_offsets[index]);
        }
        Ok(())
    }

    /// Counts a record in its commit; true when it is in error.
    fn count(&mut self, offset: Offset) -> bool {
        while self.commits.get(self.commit).is_some_and(|commit| commit.next_offset <= offset.0) {
            self.commit += 1;
        }
        let is_error = self.errors.contains(&offset.0);
        if let Some(counted) = self.found.by_commit.get_mut(self.commit) {
            counted.errors += u64::from(is_error);
            counted.events += u64::from(!is_error);
        }
        is_error
    }

    /// Reads a record by the first mapping that understands it; false when none does.
    fn parse(&mut self, record: &Record<'_>, events: &mut EventBatch) -> bool {
        self.readers.iter_mut().any(|parsing| {
            let parsed = parsing.parse(record.payload, record.headers, record.header_set, Millis(0));
            parsed.is_ok_and(|parsed| {
                events.push(&parsed.event);
                true
            })
        })
    }

    fn miss(&mut self, offset: u64) {
        self.found.first_missing.get_or_insert(offset);
    }
}
