//! What the log says: events that are in no part, and what became of the records since the account.
//!
//! Up to the offset of the account everything is counted; every event there that is not in a part is
//! hot. After it, the processor continues by itself, as after a crash. But a part that the stream's
//! events were archived into since then proves that they are counted: their records are counted here,
//! as they were then, and those before them as well. This ends at a record that is neither an event nor
//! a known error: the processor has never seen it.

use std::collections::HashSet;

use adpipe_counting::micro_batch::{MicroBatch, Parsing};
use adpipe_counting::pending_errors::{ErrorOffsets, pending_errors};
use adpipe_counting::windows;
use adpipe_event::{ContentSum, ErrorType, Millis, Rules};
use adpipe_log::{LogError, Offset, PartitionRange, RecordBatch, Topic};
use adpipe_runtime::progress::Unit;
use adpipe_sql::section;
use adpipe_warehouse::sums::HourContents;
use adpipe_warehouse::{
    Commit, Counts, IdKey, IdSet, LatencyCounts, StreamTransaction, Value, WarehouseError, errors,
    query_table,
};

use super::lookup::Lookup;
use super::parts::{Archived, CountedBy};
use super::tables::{Books, put_offset};
use super::work::{RebuildReport, Work};
use crate::BatchError;

const REBUILD_SQL: &str = include_str!("../../sql/rebuild.sql");
const ERROR_TYPE: &str = section(REBUILD_SQL, "error_type");

/// Bytes read from the log at once.
const READ_BYTES: usize = 4 << 20;

/// A partition that the processor reads.
pub(super) struct Partition {
    pub topic: Topic,
    pub range: PartitionRange,
    /// Where the account has counted it to; none when it has nothing of it.
    pub accounted: Option<u64>,
    /// Where the processor continues.
    pub next: Option<u64>,
    /// Records before the log's first that nothing has an account of: first and next offset.
    pub gap: Option<(u64, u64)>,
}

fn count_new(batch: &MicroBatch, index: usize, counts: &mut Counts, content: &mut ContentSum) {
    counts.valid += 1;
    counts.clicks += u64::from(batch.events.click(index));
    content.add(batch.sums[index]);
}

/// Goes through the whole log.
pub(super) fn replay(
    work: &Work<'_>,
    transaction: &mut dyn StreamTransaction,
    archived: &mut Archived,
    books: &mut Books,
    report: &mut RebuildReport,
) -> Result<Vec<Partition>, BatchError> {
    work.progress.begin("reading the log");
    let (log, warehouse) = (work.back_ends.log, work.back_ends.warehouse);
    let is_event_topic = |name: &str| adpipe_counting::TOPICS.iter().any(|topic| topic.name() == name);
    let pending_errors = pending_errors(log, warehouse, is_event_topic)?;
    let archive = work.back_ends.archive;
    let by_stream = |part: &&super::parts::KnownPart| part.counted == CountedBy::Stream;
    let Archived { parts, minutes_since, contents } = archived;
    let mut replay = Replay {
        work,
        transaction,
        minutes_since: *minutes_since,
        contents,
        counted: Lookup::new(archive, parts.iter().filter(|part| !by_stream(part))),
        streamed: Lookup::new(archive, parts.iter().filter(by_stream)),
        streamed_seen: IdSet::new(),
        parsing: Parsing::new(Rules::of_any_time(work.config.fields.clone())),
        pending_errors,
        report,
    };
    let mut places = places(work)?;
    let records = places.iter().map(|place| place.range.next.0.saturating_sub(place.range.first.0)).sum();
    work.progress.expect(records, Unit::Records);
    // What the account has first: an event that comes again later is a duplicate.
    for place in &mut places {
        let to = place.accounted.unwrap_or(0).min(place.range.next.0);
        replay.recover(place, to)?;
    }
    for place in &mut places {
        replay.count_on(place, books)?;
    }
    Ok(places)
}

fn places(work: &Work<'_>) -> Result<Vec<Partition>, BatchError> {
    let offsets = work.account.offsets.table()?;
    let accounted_of = |topic: &str, partition: u32| -> Result<Option<u64>, WarehouseError> {
        for row in offsets.iter() {
            if row.get::<&str>("topic")? == topic && row.get::<u32>("partition")? == partition {
                return row.get("next_offset").map(Some);
            }
        }
        Ok(None)
    };
    let mut places = Vec::new();
    for topic in adpipe_counting::TOPICS {
        for range in work.back_ends.log.ranges(topic)? {
            let accounted = accounted_of(topic.name(), range.partition)?;
            let begin = accounted.unwrap_or(0);
            let gap = (begin < range.first.0).then_some((begin, range.first.0));
            places.push(Partition { topic, range, accounted, next: accounted, gap });
        }
    }
    Ok(places)
}

struct Replay<'a> {
    work: &'a Work<'a>,
    transaction: &'a mut dyn StreamTransaction,
    minutes_since: Millis,
    /// Of every event that counts.
    contents: &'a mut HourContents,
    /// Parts whose events are counted by the account, or came by file.
    counted: Lookup<'a>,
    /// Parts that the stream's events were archived into since the account.
    streamed: Lookup<'a>,
    /// Those of them that were met in the log.
    streamed_seen: IdSet,
    parsing: Parsing,
    pending_errors: ErrorOffsets,
    report: &'a mut RebuildReport,
}

/// Some records of a partition, parsed.
struct Parsed {
    batch: MicroBatch,
    /// Offsets of the events, by index.
    offsets: Vec<u64>,
    /// Offsets of records that break a rule.
    failed: Vec<(u64, ErrorType)>,
}

impl Replay<'_> {
    /// Finds the hot events among the records before an offset, which are all counted.
    fn recover(&mut self, place: &Partition, to: u64) -> Result<(), BatchError> {
        let errors = self.known_errors(place)?;
        let mut next = place.range.first.0;
        while next < to {
            let Some(batches) = self.read(place, &mut next)? else { return Ok(()) };
            for batch in batches {
                let parsed = self.parse(batch);
                let events = &parsed.batch.events;
                let mut except = Vec::with_capacity(events.len());
                for (index, offset) in parsed.offsets.iter().enumerate() {
                    let (time, key) = (events.event_time(index), IdKey::of(events.id(index)));
                    let is_event = *offset < to && !errors.contains(offset);
                    let is_streamed = is_event && self.streamed.contains(time, key)?;
                    if is_streamed {
                        self.streamed_seen.insert(key);
                    }
                    let is_hot = is_event && !is_streamed && !self.counted.contains(time, key)?;
                    except.push(!is_hot);
                }
                self.insert(&parsed.batch, &except)?;
            }
        }
        Ok(())
    }

    /// Counts the records after the account that a part proves to be counted.
    fn count_on(&mut self, place: &mut Partition, books: &mut Books) -> Result<(), BatchError> {
        let first = place.accounted.unwrap_or(0).max(place.range.first.0);
        if let Some((_, end)) = place.gap {
            place.next = Some(end);
        }
        if self.streamed.is_empty() {
            return Ok(());
        }
        let Some(end) = self.end_of_counted(place, first)? else { return Ok(()) };
        let errors = self.known_errors(place)?;
        let (mut counts, mut content) = (Counts::default(), ContentSum::default());
        let mut next = first;
        let mut reached = first;
        'read: while next < end {
            let Some(batches) = self.read(place, &mut next)? else { break };
            for batch in batches {
                let behind = batch.next_offset().0;
                let parsed = self.parse(batch);
                let unknown =
                    parsed.failed.iter().find(|(offset, _)| *offset < end && !errors.contains(offset));
                let stop = unknown.map_or(end, |(offset, _)| *offset);
                content.add(self.count_batch(place, &parsed, stop, &errors, &mut counts)?);
                reached = behind.min(stop);
                if unknown.is_some() {
                    break 'read;
                }
            }
        }
        if reached > first {
            self.report.replayed += counts.records;
            books.add(Commit {
                content: Some(content),
                topic: place.topic.name(),
                partition: place.range.partition,
                first_offset: first,
                next_offset: reached,
                committed_at: Millis::now(),
                counts,
                latency: LatencyCounts::default(),
            });
            place.next = Some(reached);
        }
        Ok(())
    }

    /// Behind the last record that brought an event of a part of the stream's.
    fn end_of_counted(&mut self, place: &Partition, first: u64) -> Result<Option<u64>, BatchError> {
        let (mut next, mut end) = (first, None);
        // What comes again may not have been counted yet.
        let mut met = IdSet::new();
        while next < place.range.next.0 {
            let Some(batches) = self.read(place, &mut next)? else { break };
            for batch in batches {
                let parsed = self.parse(batch);
                let events = &parsed.batch.events;
                for (index, offset) in parsed.offsets.iter().enumerate() {
                    let key = IdKey::of(events.id(index));
                    if *offset >= first
                        && !self.streamed_seen.contains(key)
                        && self.streamed.contains(events.event_time(index), key)?
                        && met.insert(key)
                    {
                        end = end.max(Some(offset + 1));
                    }
                }
            }
        }
        Ok(end)
    }

    fn count_batch(
        &mut self,
        place: &Partition,
        parsed: &Parsed,
        stop: u64,
        errors: &HashSet<u64>,
        counts: &mut Counts,
    ) -> Result<ContentSum, BatchError> {
        let mut content = ContentSum::default();
        for (_, error_type) in parsed.failed.iter().filter(|(offset, _)| *offset < stop) {
            counts.records += 1;
            counts.add_invalid(*error_type);
        }
        let events = &parsed.batch.events;
        // Each is new to realtime.events, or archived as new, or a duplicate.
        let mut except = vec![true; events.len()];
        for (index, offset) in parsed.offsets.iter().enumerate().filter(|(_, offset)| **offset < stop) {
            counts.records += 1;
            if errors.contains(offset) {
                counts.add_invalid(self.error_type(place, *offset)?);
                continue;
            }
            let (time, key) = (events.event_time(index), IdKey::of(events.id(index)));
            let is_streamed = self.streamed.contains(time, key)?;
            if is_streamed && self.streamed_seen.insert(key) {
                count_new(&parsed.batch, index, counts, &mut content);
            } else if is_streamed || self.counted.contains(time, key)? {
                counts.duplicates += 1;
            } else {
                except[index] = false;
            }
        }
        let is_new = self.insert(&parsed.batch, &except)?;
        for index in (0..events.len()).filter(|index| !except[*index]) {
            if is_new[index] {
                count_new(&parsed.batch, index, counts, &mut content);
            } else {
                counts.duplicates += 1;
            }
        }
        if parsed.batch.runs.last().is_some_and(|run| run.next_offset().0 <= stop) {
            for share in parsed.batch.shares.iter().map(|share| share.counts) {
                counts.float_ids += share.float_ids;
                counts.unknown_fields += share.unknown_fields;
            }
        }
        Ok(content)
    }

    /// Inserts events into `realtime.events` and the figures; gives which are new.
    fn insert(&mut self, batch: &MicroBatch, except: &[bool]) -> Result<Vec<bool>, BatchError> {
        let events = &batch.events;
        if except.iter().all(|except| *except) {
            return Ok(vec![false; events.len()]);
        }
        let inserted = self.transaction.insert_events_except(events, except)?;
        self.contents.add_events(events.event_times(), &batch.sums, &inserted.is_new);
        let windows = windows::aggregate_all([(events, inserted.is_new.as_slice())], self.minutes_since);
        self.transaction.add_metrics(&windows.minutes, &windows.hours)?;
        for index in (0..events.len()).filter(|index| inserted.is_new[*index]) {
            self.report.from_log += 1;
            self.report.clicks_from_log += u64::from(events.click(index));
        }
        Ok(inserted.is_new)
    }

    /// The next records, and moves on after them; none at a place that is damaged, which is named.
    fn read(&mut self, place: &Partition, next: &mut u64) -> Result<Option<Vec<RecordBatch>>, BatchError> {
        self.work.go_on()?;
        let partition = place.range.partition;
        match self.work.back_ends.log.read(place.topic, partition, Offset(*next), READ_BYTES) {
            Ok(batches) => Ok(match batches.last() {
                Some(last) => {
                    *next = last.next_offset().0;
                    Some(batches)
                }
                None => None,
            }),
            Err(LogError::OutOfRange { oldest, .. }) if oldest > *next => {
                *next = oldest;
                Ok(Some(Vec::new()))
            }
            Err(error @ LogError::Corrupt { .. }) => {
                self.report.problems.push(error.to_string());
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn parse(&mut self, run: RecordBatch) -> Parsed {
        let offsets: Vec<u64> = run.iter().map(|record| record.offset.0).collect();
        let mut batch = MicroBatch::default();
        batch.add(run, &mut self.parsing);
        let of = |record: u32| offsets.get(record as usize).copied().unwrap_or(u64::MAX);
        self.work.progress.add(offsets.len() as u64);
        Parsed {
            offsets: batch.origins.iter().map(|origin| of(origin.record)).collect(),
            failed: batch
                .failed
                .iter()
                .map(|failed| (of(failed.origin.record), failed.error.error_type))
                .collect(),
            batch,
        }
    }

    /// Records of a partition that are in error, in the queue or on their way there.
    fn known_errors(&self, place: &Partition) -> Result<HashSet<u64>, BatchError> {
        let (topic, partition) = (place.topic.name(), place.range.partition);
        let mut known = self.pending_errors.get(&(topic.to_owned(), partition)).cloned().unwrap_or_default();
        errors::positions(self.work.back_ends.warehouse, topic, partition, 0, |offset| {
            known.insert(offset);
        })?;
        Ok(known)
    }

    /// Why a record is in error that keeps all rules: its time was ahead then, or the warehouse
    /// refused it.
    fn error_type(&self, place: &Partition, offset: u64) -> Result<ErrorType, BatchError> {
        let params =
            [place.topic.name().into(), Value::Int(place.range.partition.into()), Value::Int(offset as i64)];
        let table = query_table(self.work.back_ends.warehouse, ERROR_TYPE, &params)?;
        let Some(row) = table.first() else { return Ok(ErrorType::Future) };
        Ok(row.parse("error_type", "a type of error", |name: &str| name.parse().ok())?)
    }
}

/// Stores where the processor continues.
pub(super) fn store_offsets(
    transaction: &mut dyn StreamTransaction,
    places: &[Partition],
) -> Result<(), BatchError> {
    for place in places {
        if let Some(next) = place.next {
            put_offset(transaction, place.topic.name(), place.range.partition, next)?;
        }
    }
    Ok(())
}
