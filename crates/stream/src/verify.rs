//! The proof that nothing was lost or counted twice: everything is counted again.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use adpipe_event::{EventBatch, FieldMap, Millis, Rules};
use adpipe_log::{EventLog, LogError, Offset, PartitionRange, Topic};
use adpipe_warehouse::audit::{self, CommitRow, Disagreement};
use adpipe_warehouse::invalid::{Verdicts, verdicts};
use adpipe_warehouse::lost::{self, LostRecords};
use adpipe_warehouse::report::{self, Totals};
use adpipe_warehouse::{ArchiveIds, Warehouse, WarehouseRead, archive, errors};

use crate::StreamError;
use crate::archived::{ArchivedIds, hours_of};
use crate::micro_batch::Parsing;
use crate::pending_errors::{ErrorOffsets, pending_errors};
use adpipe_runtime::progress::{Progress, Unit};

/// Gaps named one by one.
const SHOWN_GAPS: usize = 20;

/// Bytes read from the log at once.
const READ_BYTES: usize = 4 << 20;

/// Hours that could not be looked into, named one by one.
const SHOWN_HOURS: usize = 10;

/// One line of the proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What must hold.
    pub name: &'static str,
    /// Whether it does.
    pub holds: bool,
    /// The figures, or the gap.
    pub detail: String,
}

/// The whole proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Its lines.
    pub checks: Vec<Check>,
    /// Records in the log that the processor has yet to count; the proof is about the others.
    pub waiting: u64,
    /// What was not looked at, in a few words each.
    pub not_checked: Vec<String>,
    /// The totals of the warehouse, as the console and Prometheus show them.
    pub totals: Totals,
}

impl Verdict {
    /// Whether every line holds.
    pub fn holds(&self) -> bool {
        self.checks.iter().all(|check| check.holds)
    }
}

/// Recounts log and warehouse against each other, as the warehouse stands at one moment.
/// `minutes_kept` is how long minute figures are kept: hours older than that have none to compare.
///
/// # Errors
/// When log or warehouse cannot be read.
pub fn verify(
    log: &dyn EventLog,
    warehouse: &dyn Warehouse,
    minutes_kept: Duration,
) -> Result<Verdict, StreamError> {
    let (fields, progress) = (FieldMap::default(), Progress::new());
    recount_all(&Scope { log, warehouse, archive: None, fields: &fields, minutes_kept, progress: &progress })
}

/// What is verified, and who watches.
pub struct Scope<'a> {
    /// The event log.
    pub log: &'a dyn EventLog,
    /// The warehouse.
    pub warehouse: &'a dyn Warehouse,
    /// Where events are looked for that are in the archive only; none: nowhere.
    pub archive: Option<&'a dyn ArchiveIds>,
    /// What names the fields of records have.
    pub fields: &'a FieldMap,
    /// How long minute figures are kept: hours older than that have none to compare.
    pub minutes_kept: Duration,
    /// How far it has come.
    pub progress: &'a Progress,
}

/// Steps of [`recount_all`], as [`Progress`] shows them.
pub const STEPS: u64 = 3;

/// Steps of [`compare_sums`].
pub const QUICK_STEPS: u64 = 1;

/// Recounts every record, after the files of log and warehouse.
///
/// # Errors
/// When log, warehouse or archive cannot be read.
pub fn recount_all(scope: &Scope<'_>) -> Result<Verdict, StreamError> {
    let mut not_checked = Vec::new();
    scope.progress.begin("checking the files of log and warehouse");
    let storage = storage_is_sound(scope.log, scope.warehouse, &mut not_checked)?;
    let mut verdict = compare(scope, true)?;
    verdict.checks.insert(0, storage);
    verdict.not_checked.splice(0..0, not_checked);
    Ok(verdict)
}

/// Compares the sums that are stored, and reads neither records nor files.
///
/// # Errors
/// When log or warehouse cannot be read.
pub fn compare_sums(scope: &Scope<'_>) -> Result<Verdict, StreamError> {
    let mut verdict = compare(scope, false)?;
    verdict.not_checked.extend(
        [
            "pages and indexes of the files",
            "records of the log one by one",
            "events against hourly figures by every dimension",
        ]
        .map(str::to_owned),
    );
    Ok(verdict)
}

fn compare(scope: &Scope<'_>, recounts: bool) -> Result<Verdict, StreamError> {
    let Scope { log, warehouse, minutes_kept, progress, .. } = *scope;
    if recounts {
        progress.begin("recounting the records of the log");
    }
    // The warehouse first: an error is in its topic before the offset behind it is stored, so that
    // every error of this moment is found, in the dead-letter queue or on the way there.
    let snapshot = warehouse.snapshot()?;
    let warehouse = snapshot.as_ref();
    let places = places(log, warehouse)?;
    let commits = audit::commits(warehouse)?;
    let is_event_topic = |name: &str| crate::TOPICS.iter().any(|topic| topic.name() == name);
    let pending_errors = pending_errors(log, warehouse, is_event_topic)?;
    let newest = warehouse.newest_minute()?.unwrap_or_default();
    let floor = archive::minutes_floor(warehouse)?.unwrap_or(Millis(i64::MIN));
    let minutes_since = Millis(newest.0 - minutes_kept.as_millis() as i64).max(floor);
    let totals = report::totals(warehouse)?;
    let mut checks = vec![
        every_place_is_known(warehouse, &places, &commits)?,
        account_is_whole(&places, &commits, log.is_dense(), &lost::lost_records(warehouse)?),
        nothing_is_torn(log, warehouse, &places)?,
    ];
    if recounts {
        checks.push(nothing_is_missing(scope, warehouse, &places, &commits, &pending_errors)?);
    }
    progress.begin("comparing sums");
    checks.push(every_error_is_kept(warehouse, &places, &commits, &pending_errors)?);
    checks.push(events_are_the_account(warehouse, &totals)?);
    if recounts {
        checks.push(check(
            "hourly figures = events, by every dimension",
            shown(audit::events_against_hours(warehouse)?),
            "no residue".to_owned(),
        ));
    }
    checks.extend([
        archive_is_whole(warehouse)?,
        check(
            "minute figures = hourly figures",
            shown(audit::minutes_against_hours(warehouse, minutes_since)?),
            format!("no residue since {minutes_since}"),
        ),
        check(
            "5-minute figures = minute figures",
            shown(audit::five_minutes_against_minutes(warehouse)?),
            "no residue".to_owned(),
        ),
        check(
            "counted contents = hourly figures, by the hour",
            shown(audit::counts_against_figures(warehouse)?),
            "no residue".to_owned(),
        ),
        check(
            "counts of causes = errors in the dead-letter queue",
            audit::groups_against_errors(warehouse)?,
            "no residue".to_owned(),
        ),
    ]);
    let waiting = places
        .iter()
        .map(|place| place.range.next.0.saturating_sub(place.committed.max(place.range.first.0)));
    Ok(Verdict { checks, waiting: waiting.sum(), not_checked: Vec::new(), totals })
}

/// A partition that the processor reads.
struct Place {
    topic: Topic,
    range: PartitionRange,
    /// Everything before this offset is counted.
    committed: u64,
    /// Whether anything of it ever was.
    is_begun: bool,
    /// Which of its records are in error, by the commits that took them.
    verdicts: Verdicts,
}

impl Place {
    fn holds(&self, commit: &CommitRow) -> bool {
        commit.partition == self.range.partition && commit.topic == self.topic.name()
    }

    fn names(&self, lost: &LostRecords) -> bool {
        lost.partition == self.range.partition && lost.topic == self.topic.name()
    }

    fn key(&self) -> (String, u32) {
        (self.topic.name().to_owned(), self.range.partition)
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} partition {}", self.topic.name(), self.range.partition)
    }
}

/// The files of log and warehouse, before anything is read from them by a damaged index.
fn storage_is_sound(
    log: &dyn EventLog,
    warehouse: &dyn Warehouse,
    not_checked: &mut Vec<String>,
) -> Result<Check, StreamError> {
    let mut damages = Vec::new();
    match log.check_storage()? {
        Some(found) => damages.extend(found.into_iter().map(|damage| format!("log.db: {damage}"))),
        None => not_checked.push("files of the brokers".to_owned()),
    }
    match warehouse.check_storage()? {
        Some(found) => damages.extend(found),
        None => not_checked.push("files of the database server (pg_amcheck)".to_owned()),
    }
    Ok(check("pages, indexes and definitions of the files", damages, "sound".to_owned()))
}

/// No offset and no commit is of a partition that the log does not have.
fn every_place_is_known(
    warehouse: &dyn WarehouseRead,
    places: &[Place],
    commits: &[CommitRow],
) -> Result<Check, StreamError> {
    let mut gaps = Vec::new();
    for (topic, partition) in audit::offset_places(warehouse)? {
        if !places.iter().any(|place| place.key() == (topic.clone(), partition)) {
            gaps.push(format!("realtime.offsets has {topic} partition {partition}, and the log has not"));
        }
    }
    let strangers =
        commits.iter().filter(|commit| !places.iter().any(|place| place.is_begun && place.holds(commit)));
    gaps.extend(strangers.map(|commit| {
        format!(
            "the account has {} partition {} offset {}, and realtime.offsets does not have that partition",
            commit.topic, commit.partition, commit.first_offset
        )
    }));
    gaps.truncate(SHOWN_GAPS);
    Ok(check("every account is of a partition that is read", gaps, format!("{} partitions", places.len())))
}

fn places(log: &dyn EventLog, warehouse: &dyn WarehouseRead) -> Result<Vec<Place>, StreamError> {
    let mut places = Vec::new();
    for topic in crate::TOPICS {
        let offsets = warehouse.offsets(topic.name())?;
        for range in log.ranges(topic)? {
            let stored = offsets.iter().find(|offset| offset.partition == range.partition);
            let committed = stored.map_or(0, |offset| offset.next_offset);
            let verdicts = verdicts(warehouse, topic.name(), range.partition, 0, committed)?;
            places.push(Place { topic, range, committed, is_begun: stored.is_some(), verdicts });
        }
    }
    Ok(places)
}

/// Places that do not agree, in words.
fn shown(disagreements: Vec<Disagreement>) -> Vec<String> {
    disagreements
        .iter()
        .map(|gap| {
            format!(
                "{}: {} events and {} clicks against {} and {}",
                gap.window_start,
                gap.left.impressions,
                gap.left.clicks,
                gap.right.impressions,
                gap.right.clicks
            )
        })
        .collect()
}

fn check(name: &'static str, gaps: Vec<String>, detail: String) -> Check {
    if gaps.is_empty() {
        Check { name, holds: true, detail }
    } else {
        Check { name, holds: false, detail: gaps.join("; ") }
    }
}

/// Every offset up to the stored one is in exactly one commit.
fn account_is_whole(places: &[Place], commits: &[CommitRow], is_dense: bool, lost: &[LostRecords]) -> Check {
    let mut gaps = Vec::new();
    let mut records = 0;
    for place in places.iter().filter(|place| place.is_begun) {
        let of_partition = || commits.iter().filter(|commit| place.holds(commit));
        // A warehouse that was begun when the log had already retired records starts behind them;
        // one that has only been begun has no commit yet.
        let mut expected = of_partition().map(|commit| commit.first_offset).min().unwrap_or(place.committed);
        // Records that are on record as lost were in no commit; they are a line of their own.
        let is_lost = |from: u64, to: u64| {
            lost.iter().any(|lost| {
                place.names(lost)
                    && (lost.first_offset..lost.next_offset).contains(&from)
                    && lost.next_offset == to
            })
        };
        for commit in of_partition() {
            if commit.first_offset != expected && !is_lost(expected, commit.first_offset) {
                gaps.push(format!("{place}: commits go from {expected} to {}", commit.first_offset));
            }
            if commit.records != commit.valid + commit.duplicates + commit.invalid {
                gaps.push(format!("{place}: commit at {expected} does not add up"));
            }
            let offsets = commit.next_offset.saturating_sub(commit.first_offset);
            if is_dense && commit.records != offsets {
                gaps.push(format!(
                    "{place} offsets {} to {}: {} records for {offsets} offsets",
                    commit.first_offset, commit.next_offset, commit.records
                ));
            }
            expected = commit.next_offset;
            records += commit.records;
        }
        if expected != place.committed && !is_lost(expected, place.committed) {
            gaps.push(format!("{place}: commits end at {expected}, the offset is {}", place.committed));
        }
    }
    check("input = valid + duplicate + invalid, for every offset", gaps, format!("{records} records"))
}

/// The log kept every record until it was counted, and every error until it was stored.
fn nothing_is_torn(
    log: &dyn EventLog,
    warehouse: &dyn WarehouseRead,
    places: &[Place],
) -> Result<Check, StreamError> {
    let mut gaps = Vec::new();
    for place in places.iter().filter(|place| place.is_begun) {
        let (first, committed) = (place.range.first.0, place.committed);
        if first > committed {
            gaps.push(format!(
                "{place}: offsets {committed} to {first} were removed from the log before they were counted"
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

/// Every record that the log still holds is an event of the warehouse or an error.
fn nothing_is_missing(
    scope: &Scope<'_>,
    warehouse: &dyn WarehouseRead,
    places: &[Place],
    commits: &[CommitRow],
    pending_errors: &ErrorOffsets,
) -> Result<Check, StreamError> {
    let Scope { archive, progress, .. } = *scope;
    let still_held = |place: &Place| place.committed.saturating_sub(place.range.first.0);
    progress.expect(places.iter().map(still_held).sum(), Unit::Records);
    let mut gaps = Vec::new();
    let mut recounted = 0;
    let mut archived =
        Archived { warehouse, source: archive, ids: ArchivedIds::default(), unreadable: BTreeMap::new() };
    for place in places {
        let mut errors = pending_errors.get(&place.key()).cloned().unwrap_or_default();
        let (partition, first) = (place.range.partition, place.range.first.0);
        errors::positions(warehouse, place.topic.name(), partition, first, |offset| {
            errors.insert(offset);
        })?;
        errors.retain(|offset| !place.verdicts.is_void(*offset));
        let is_lost = |offset: &u64| *offset >= first && !errors.contains(offset);
        if let Some(offset) = place.verdicts.invalid().find(is_lost) {
            gaps.push(format!("{place} offset {offset}: counted as an error, and in no queue"));
        }
        let of_partition: Vec<&CommitRow> = commits.iter().filter(|commit| place.holds(commit)).collect();
        let found = recount(scope, &mut archived, place, &of_partition, &errors)?;
        if let Some(offset) = found.first_missing {
            gaps.push(format!("{place} offset {offset}: neither an event nor an error"));
        }
        for (commit, counted) in of_partition.iter().zip(&found.by_commit) {
            recounted += counted.events + counted.errors;
            // Of a commit that the log holds only in part, only its records could be looked at.
            let is_whole = counted.events + counted.errors == commit.records;
            if is_whole && counted.errors != commit.invalid {
                gaps.push(format!(
                    "{place} offsets {} to {}: the log has {} errors, the account {}",
                    commit.first_offset, commit.next_offset, counted.errors, commit.invalid
                ));
            }
        }
    }
    let unreadable = archived.unreadable.iter().take(SHOWN_HOURS);
    gaps.extend(
        unreadable.map(|(hour, reason)| format!("events of hour {hour} could not be looked for: {reason}")),
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

/// What the log's records of one partition are.
struct Recount {
    /// By commit, in the order of the commits.
    by_commit: Vec<Counted>,
    first_missing: Option<u64>,
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
    place: &Place,
    commits: &[&CommitRow],
    errors: &HashSet<u64>,
) -> Result<Recount, StreamError> {
    let Scope { log, fields, progress, .. } = *scope;
    let (partition, from, to) = (place.range.partition, place.range.first, Offset(place.committed));
    // Whether an event's time was ahead of the clock was decided then; the error topic remembers.
    // Records from before the mapping of fields, or of the demo, have our own names.
    let own = (!fields.is_empty()).then(FieldMap::default);
    let maps = std::iter::once(fields.clone()).chain(own);
    let mut readers: Vec<Parsing> = maps.map(|map| Parsing::new(Rules::of_any_time(map))).collect();
    let mut found = Recount { by_commit: vec![Counted::default(); commits.len()], first_missing: None };
    let mut commit = 0;
    let mut next = from;
    while next < to {
        let batches = match log.read(place.topic, partition, next, READ_BYTES) {
            // A log that was restored from a copy goes on behind a gap; what was in it is counted.
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
            let mut events = EventBatch::new();
            let mut event_offsets = Vec::new();
            readers.iter_mut().for_each(Parsing::start_run);
            for record in batch.iter().filter(|record| record.offset < to) {
                while commits.get(commit).is_some_and(|commit| commit.next_offset <= record.offset.0) {
                    commit += 1;
                }
                let is_error = errors.contains(&record.offset.0);
                if let Some(counted) = found.by_commit.get_mut(commit) {
                    counted.errors += u64::from(is_error);
                    counted.events += u64::from(!is_error);
                }
                if is_error {
                    continue;
                }
                let is_event = readers.iter_mut().any(|parsing| {
                    let parsed = parsing.parse(record.payload, record.headers, record.header_set, Millis(0));
                    parsed.is_ok_and(|parsed| {
                        events.push(&parsed.event);
                        true
                    })
                });
                if is_event {
                    event_offsets.push(record.offset.0)
                } else {
                    found.first_missing = found.first_missing.or(Some(record.offset.0))
                }
            }
            let is_there = warehouse.contains(&events)?;
            let missing = is_there.iter().position(|is_there| !is_there);
            found.first_missing = found.first_missing.or(missing.map(|index| event_offsets[index]));
        }
    }
    Ok(found)
}

fn every_error_is_kept(
    warehouse: &dyn WarehouseRead,
    places: &[Place],
    commits: &[CommitRow],
    pending_errors: &ErrorOffsets,
) -> Result<Check, StreamError> {
    let mut gaps = Vec::new();
    let (mut total, mut waiting) = (0, 0);
    for place in places {
        let recorded: u64 =
            commits.iter().filter(|commit| place.holds(commit)).map(|commit| commit.invalid).sum();
        let (topic, partition) = (place.topic.name(), place.range.partition);
        let mut stored = errors::recorded(warehouse, topic, partition, place.committed)?;
        // Those of an attempt that was not committed, as long as the queue has yet to find out.
        errors::positions(warehouse, topic, partition, place.verdicts.from(), |offset| {
            stored = stored.saturating_sub(u64::from(place.verdicts.is_void(offset)));
        })?;
        let counts = |offset: &&u64| **offset < place.committed && !place.verdicts.is_void(**offset);
        let named = pending_errors.get(&place.key());
        let named = named.map_or(0, |named| named.iter().filter(counts).count() as u64);
        total += stored + named;
        waiting += named;
        if recorded != stored + named {
            gaps.push(format!(
                "{place}: {recorded} errors were counted, the dead-letter queue has {stored} and {named} are on their way"
            ));
        }
    }
    let detail = match waiting {
        0 => format!("{total} errors"),
        waiting => format!("{total} errors, {waiting} of them in ad_events_error still"),
    };
    Ok(check("every error is in the dead-letter queue", gaps, detail))
}

fn events_are_the_account(warehouse: &dyn WarehouseRead, totals: &Totals) -> Result<Check, StreamError> {
    let (streamed, from_files, recorded) = (totals.stream.valid, totals.files.valid, totals.all());
    let hot = audit::events_total(warehouse)?;
    let (archived, copies) = archive::archived_total(warehouse)?;
    let events = (hot.impressions + archived.impressions).saturating_sub(copies);
    let hourly = audit::hourly_total(warehouse)?;
    let mut gaps = Vec::new();
    if recorded.valid != events {
        gaps.push(format!("{} events were recorded, {events} are there", recorded.valid));
    }
    if hourly.impressions != events {
        gaps.push(format!("events: {events}, hourly figures: {}", hourly.impressions));
    }
    if hourly.clicks != recorded.clicks {
        gaps.push(format!("{} clicks were recorded, hourly figures: {}", recorded.clicks, hourly.clicks));
    }
    let mut detail = format!("{events} events, {} clicks", hourly.clicks);
    if archived.impressions > 0 {
        detail += &format!(
            ": {streamed} streamed, {from_files} from files; {} in the archive, {} hot, {copies} in both",
            archived.impressions, hot.impressions
        );
    }
    Ok(check("events = recorded = hourly figures", gaps, detail))
}

fn archive_is_whole(warehouse: &dyn WarehouseRead) -> Result<Check, StreamError> {
    let mut gaps = shown(audit::archived_hours_against_figures(warehouse)?);
    gaps.extend(shown(audit::parts_against_hours(warehouse)?));
    gaps.extend(shown(audit::parts_against_their_hours(warehouse)?));
    Ok(check("archived + hot events = hourly figures, by the hour", gaps, "no residue".to_owned()))
}
