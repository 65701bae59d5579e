//! Which parts of the archive count, and what they add to the figures.
//!
//! Day by day, as a part holds one day: those of the account first, then the others, larger ones before
//! smaller ones. An event counts in the first part that has it. A part without new events stays where
//! it is, and no row names it; if only some events of a part are new, they are written into a new part.

use std::collections::{BTreeMap, HashSet};

use adpipe_counting::windows;
use adpipe_event::{ContentHasher, ContentSum, EventBatch, Millis};
use adpipe_runtime::progress::Unit;
use adpipe_warehouse::sums::HourContents;
use adpipe_warehouse::{IdKey, IdSet, PartName, StreamTransaction, WarehouseError};
use hashbrown::HashMap;

use super::work::{RebuildReport, Work};
use crate::BatchError;
use crate::archive::{OfHour, PartFile, UNFINISHED, rows_by_date};

/// What counted the events of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CountedBy {
    /// The account has them.
    Account,
    /// The stream, since the account was written, or so it seems.
    Stream,
    /// `adpipe etl`, since then.
    File,
}

/// A part that counts.
#[derive(Debug)]
pub(super) struct KnownPart {
    pub path: String,
    pub event_date: String,
    pub first_event: Millis,
    pub last_event: Millis,
    pub rows: u64,
    pub clicks: u64,
    pub bytes: u64,
    pub hash: String,
    /// `file`, `stream` or `merged`.
    pub source: &'static str,
    pub counted: CountedBy,
    pub hours: BTreeMap<Millis, OfHour>,
    /// A part that this run has written.
    file: Option<PartFile>,
}

impl KnownPart {
    pub fn name(&self) -> PartName {
        PartName { path: self.path.clone(), hash: Some(self.hash.clone()) }
    }
}

/// All parts that count.
#[derive(Debug, Default)]
pub(super) struct Archived {
    pub parts: Vec<KnownPart>,
    /// Figures by the minute are made from here on.
    pub minutes_since: Millis,
    /// Contents of every event that counts, in the archive or hot.
    pub contents: HourContents,
}

impl Archived {
    pub fn rows(&self) -> u64 {
        self.parts.iter().map(|part| part.rows).sum()
    }

    pub fn clicks(&self) -> u64 {
        self.parts.iter().map(|part| part.clicks).sum()
    }

    /// Gives the parts that were written their paths.
    pub fn publish(&self) -> Result<(), BatchError> {
        self.parts.iter().filter_map(|part| part.file.as_ref()).try_for_each(PartFile::publish)
    }

    /// Removes them.
    pub fn discard(&self) {
        self.parts.iter().filter_map(|part| part.file.as_ref()).for_each(PartFile::discard);
    }
}

/// A part that can be read.
struct Candidate {
    path: String,
    bytes: u64,
    hash: String,
    rows: u64,
    last_event: Millis,
    source: &'static str,
    counted: CountedBy,
}

/// Reads every part, adds its events to the figures, and gives those that count.
pub(super) fn count(
    work: &Work<'_>,
    transaction: &mut dyn StreamTransaction,
    report: &mut RebuildReport,
) -> Result<Archived, BatchError> {
    work.progress.begin("reading the archive");
    let days = candidates(work, report)?;
    let rows = days.values().flatten().map(|candidate| candidate.rows).sum();
    work.progress.expect(rows, Unit::Events);
    let newest = days.values().flatten().map(|candidate| candidate.last_event).max();
    let floor = work.account.minutes_floor.as_deref().and_then(Millis::parse_sql);
    let kept = newest.map(|newest| Millis(newest.0 - work.config.minutes.as_millis() as i64).floor_minute());
    let mut archived =
        Archived { minutes_since: kept.max(floor).unwrap_or(Millis(i64::MIN)), ..Archived::default() };
    for candidates in days.into_values() {
        let mut seen: HashMap<Millis, IdSet> = HashMap::new();
        for candidate in candidates {
            work.go_on()?;
            let path = candidate.path.clone();
            let minutes_since = archived.minutes_since;
            match read(work, transaction, candidate, &mut seen, minutes_since, &mut archived.contents)? {
                Outcome::Counts(part) => archived.parts.push(*part),
                Outcome::Redundant => report.redundant.push(path),
                Outcome::Rewritten(parts) => {
                    report.rewritten.push(path);
                    archived.parts.extend(parts);
                }
            }
        }
    }
    missing(work, &archived, report)?;
    (report.parts, report.archived) = (archived.parts.len() as u64, archived.rows());
    Ok(archived)
}

/// What there is, by the day, in the order in which it is to count.
fn candidates(
    work: &Work<'_>,
    report: &mut RebuildReport,
) -> Result<BTreeMap<String, Vec<Candidate>>, BatchError> {
    let listed = work.account.archive_parts.table()?;
    // Of a part from before hashes were kept the account has none, and no file has an empty one.
    let mut hashes: HashMap<&str, &str> = HashMap::new();
    for row in listed.iter() {
        hashes.insert(row.get("path")?, row.get::<Option<&str>>("hash")?.unwrap_or_default());
    }
    let paths = work.back_ends.archive.strays(&HashSet::new())?;
    let mut days: BTreeMap<String, Vec<Candidate>> = BTreeMap::new();
    for path in paths {
        work.go_on()?;
        let Some((day, name)) = path.split_once('/') else { continue };
        if name.starts_with(UNFINISHED) {
            continue;
        }
        let day = day.to_owned();
        let expected = hashes.get(path.as_str()).copied();
        match candidate(work, &path, expected) {
            Ok(candidate) => days.entry(day).or_default().push(candidate),
            Err(Unfit::Damaged(reason)) => report.problems.push(format!("{path}: {reason}; it is left out")),
            Err(Unfit::Failed(error)) => return Err(error),
        }
    }
    for candidates in days.values_mut() {
        candidates.sort_by_key(|candidate| {
            (
                candidate.counted != CountedBy::Account,
                std::cmp::Reverse(candidate.rows),
                candidate.path.clone(),
            )
        });
    }
    Ok(days)
}

enum Unfit {
    Damaged(String),
    Failed(BatchError),
}

/// Looks at a part: by its hash where that is known, else by reading it once.
fn candidate(work: &Work<'_>, path: &str, expected: Option<&str>) -> Result<Candidate, Unfit> {
    use adpipe_warehouse::ArchiveReadError;
    let archive = work.back_ends.archive;
    let unfit = |error: ArchiveReadError| match error {
        error @ ArchiveReadError::Unavailable(_) => {
            Unfit::Failed(BatchError::archive(archive.location(), error))
        }
        error => Unfit::Damaged(error.to_string()),
    };
    let origin = archive.origin(path).map_err(unfit)?;
    if !origin.is_adpipe {
        return Err(Unfit::Damaged("adpipe did not write it".to_owned()));
    }
    if let (Some(own), Some(other)) = (work.data_id, origin.data_id.as_deref())
        && own != other
    {
        return Err(Unfit::Damaged("it belongs to another data set".to_owned()));
    }
    let (hash, bytes) = archive.hash(path).map_err(unfit)?;
    if expected.is_some_and(|expected| !expected.is_empty() && expected != hash) {
        return Err(Unfit::Damaged("it is not as it was written".to_owned()));
    }
    let (mut rows, mut last_event) = (0, Millis(i64::MIN));
    archive
        .hours_and_ids(path, |hour, _| {
            rows += 1;
            last_event = last_event.max(hour);
        })
        .map_err(unfit)?;
    let source = match origin.source.as_deref() {
        Some("file") => "file",
        Some("merged") => "merged",
        _ => "stream",
    };
    let counted = match (expected.is_some(), source) {
        // The account is written before small parts are merged.
        (true, _) | (false, "merged") => CountedBy::Account,
        (false, "file") => CountedBy::File,
        _ => CountedBy::Stream,
    };
    Ok(Candidate { path: path.to_owned(), bytes, hash, rows, last_event, source, counted })
}

enum Outcome {
    Counts(Box<KnownPart>),
    Redundant,
    Rewritten(Vec<KnownPart>),
}

/// Reads a part, and adds what is new in it to the figures.
fn read(
    work: &Work<'_>,
    transaction: &mut dyn StreamTransaction,
    candidate: Candidate,
    seen: &mut HashMap<Millis, IdSet>,
    minutes_since: Millis,
    contents: &mut HourContents,
) -> Result<Outcome, BatchError> {
    let archive = work.back_ends.archive;
    let mut is_new_of_all: Vec<bool> = Vec::new();
    let (mut sums, mut hasher) = (Sums::default(), ContentHasher::default());
    let mut failed: Option<WarehouseError> = None;
    let read = archive.events(&candidate.path, None, |events| {
        let is_new: Vec<bool> = (0..events.len())
            .map(|index| {
                let hour = events.event_time(index).floor_hour();
                seen.entry(hour).or_default().insert(IdKey::of(events.id(index)))
            })
            .collect();
        sums.add(&events, &is_new);
        let of_events: Vec<ContentSum> = events.iter().map(|event| hasher.sum(&event)).collect();
        contents.add_events(events.event_times(), &of_events, &is_new);
        if failed.is_none() && is_new.contains(&true) {
            let windows = windows::aggregate_all([(&events, is_new.as_slice())], minutes_since);
            failed = transaction.add_metrics(&windows.minutes, &windows.hours).err();
        }
        is_new_of_all.extend(is_new);
        work.progress.add(events.len() as u64);
    });
    read.map_err(|error| BatchError::archive(archive.location(), error))?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    let rows = is_new_of_all.len() as u64;
    match sums.rows {
        0 => Ok(Outcome::Redundant),
        new if new == rows => Ok(Outcome::Counts(Box::new(sums.into_known(candidate)))),
        _ => rewrite(work, &candidate, &is_new_of_all).map(Outcome::Rewritten),
    }
}

#[derive(Default)]
struct Sums {
    rows: u64,
    clicks: u64,
    times: Option<(Millis, Millis)>,
    hours: BTreeMap<Millis, OfHour>,
}

impl Sums {
    fn add(&mut self, events: &EventBatch, is_new: &[bool]) {
        for index in (0..events.len()).filter(|index| is_new[*index]) {
            let (time, click) = (events.event_time(index), u64::from(events.click(index)));
            let hour = self.hours.entry(time.floor_hour()).or_default();
            hour.rows += 1;
            hour.clicks += click;
            self.rows += 1;
            self.clicks += click;
            let (first, last) = self.times.unwrap_or((time, time));
            self.times = Some((first.min(time), last.max(time)));
        }
    }

    fn into_known(self, candidate: Candidate) -> KnownPart {
        let (first_event, last_event) = self.times.unwrap_or_default();
        KnownPart {
            path: candidate.path,
            event_date: crate::archive::date_of(first_event),
            first_event,
            last_event,
            rows: self.rows,
            clicks: self.clicks,
            bytes: candidate.bytes,
            hash: candidate.hash,
            source: candidate.source,
            counted: candidate.counted,
            hours: self.hours,
            file: None,
        }
    }
}

/// Writes the new events of a part into new parts.
fn rewrite(work: &Work<'_>, candidate: &Candidate, is_new: &[bool]) -> Result<Vec<KnownPart>, BatchError> {
    let archive = work.back_ends.archive;
    let mut batches: Vec<EventBatch> = Vec::new();
    archive
        .events(&candidate.path, None, |events| batches.push(events))
        .map_err(|error| BatchError::archive(archive.location(), error))?;
    let mut starts = Vec::with_capacity(batches.len());
    let mut start = 0;
    for batch in &batches {
        starts.push(start);
        start += batch.len();
    }
    let batches: Vec<&EventBatch> = batches.iter().collect();
    let rows = rows_by_date(&batches, |batch, row| is_new.get(starts[batch] + row) == Some(&true));
    let mut parts = Vec::new();
    for rows in rows {
        let file = archive.write(&batches, &rows)?;
        parts.push(KnownPart {
            path: file.path.clone(),
            event_date: file.event_date.clone(),
            first_event: file.first_event,
            last_event: file.last_event,
            rows: file.rows,
            clicks: file.clicks,
            bytes: file.bytes,
            hash: file.hash.clone(),
            source: "merged",
            counted: candidate.counted,
            hours: file.hours.clone(),
            file: Some(file),
        });
    }
    Ok(parts)
}

/// Names the parts of the account that are not there, where their hours lack events.
fn missing(work: &Work<'_>, archived: &Archived, report: &mut RebuildReport) -> Result<(), WarehouseError> {
    let mut rows: HashMap<String, u64> = HashMap::new();
    for part in &archived.parts {
        for (hour, of_hour) in &part.hours {
            *rows.entry(hour.to_string()).or_default() += of_hour.rows;
        }
    }
    let listed = work.account.archive_part_hours.table()?;
    let mut expected: HashMap<&str, u64> = HashMap::new();
    for row in listed.iter() {
        *expected.entry(row.get("event_hour")?).or_default() += row.get::<u64>("rows")?;
    }
    let there: HashSet<&str> = archived.parts.iter().map(|part| part.path.as_str()).collect();
    let mut named: HashSet<&str> = HashSet::new();
    for row in listed.iter() {
        let (hour, path): (&str, &str) = (row.get("event_hour")?, row.get("path")?);
        let is_short = rows.get(hour).copied().unwrap_or(0) < expected.get(hour).copied().unwrap_or(0);
        if is_short && !there.contains(path) && named.insert(path) {
            report
                .problems
                .push(format!("{path}: the account names it, and its events are in no other part"));
        }
    }
    Ok(())
}
