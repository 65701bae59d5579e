//! One run: files to segments to commits, then what belongs to it.
//!
//! Threads, with short queues between them: one reads, several parse, this one dedups in the order
//! of the files and closes segments, several write the archive's files, one commits.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use adpipe_event::{ErrorLimit, ErrorType, FieldMap, Millis, Rules};
use adpipe_log::EventLog;
use adpipe_metrics::Metrics;
use adpipe_runtime::Shutdown;
use adpipe_runtime::progress::Progress;
use adpipe_sql::section;
use adpipe_warehouse::{Warehouse, identity, query_table};

use crate::archive::{Archive, Stamp};
use crate::chunks::Chunk;
use crate::commit::{Account, Committer};
use crate::discover::{RawFile, discover};
use crate::files::{self, FileState};
use crate::hours::HourSets;
use crate::intake::{Intake, Item, Numbered, parse_pieces};
use crate::limit::ErrorGuard;
use crate::parse::ParsedChunk;
use crate::report::{FileReport, Report, file_reports, settled_report, unreadable_report};
use crate::segment::{ErrorRow, Piece, Segment};
use crate::unreadable::{self, Unreadable};
use crate::{BatchError, account, closed, hashes, hints, hot, lock, merge, runs, sweep};

const ARCHIVE_SQL: &str = include_str!("../sql/archive.sql");

/// Threads of a kind, at most: memory grows with each.
const MOST_THREADS: usize = 4;

/// Steps of a run that writes, as [`Progress`] shows them; the caller has retention as the last one.
const STEPS: u64 = 7;

/// What a run is to do.
#[derive(Debug, Clone)]
pub struct EtlConfig {
    /// Where raw files lie, and what their names are relative to.
    pub raw_folder: PathBuf,
    /// Files and folders to read instead.
    pub named: Vec<PathBuf>,
    /// Only files whose names say this date (`YYYY-MM-DD`).
    pub date: Option<String>,
    /// Read files again that are known.
    pub force: bool,
    /// Validate and report only.
    pub dry_run: bool,
    /// Of a longer record only the beginning is kept, and it is in error.
    pub max_record_bytes: usize,
    /// How far ahead of the clock an event's time may be.
    pub max_future: Duration,
    /// Which fields of the input give those of an event.
    pub fields: FieldMap,
    /// How long figures by the minute are kept, counted back from the newest.
    pub minutes: Duration,
    /// The hot window.
    pub hot: Duration,
    /// An hour that came by stream is archived when it ended this long ago.
    pub close_after: Duration,
    /// New events of one transaction: those of a day are one file of the archive.
    pub segment_rows: u64,
    /// So many files of a day with few rows are merged.
    pub merge_files: u64,
    /// The run ends when it meets more invalid rows than this.
    pub max_errors: Option<ErrorLimit>,
}

/// What a run works on.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// Where figures are.
    pub warehouse: &'a dyn Warehouse,
    /// Where errors go.
    pub log: &'a dyn EventLog,
    /// Where events go.
    pub archive: &'a Archive,
    /// Counters.
    pub metrics: &'a Metrics,
}

/// Runs to the end, or until the switch is off.
///
/// # Errors
/// What ends the run; a file that cannot be read does not, it is in the report.
pub fn run(
    config: &EtlConfig,
    place: Place<'_>,
    progress: &Progress,
    shutdown: &Shutdown,
) -> Result<Report, BatchError> {
    let started = Instant::now();
    let _lock = if config.dry_run { None } else { Some(lock::take(place.archive, place.warehouse)?) };
    let mut report = Report { dry_run: config.dry_run, ..Report::default() };
    progress.expect_steps(if config.dry_run { 1 } else { STEPS });
    if config.dry_run {
        read_raw_files(config, place, &Unreadable::default(), progress, shutdown, &mut report)?
    } else {
        write_all(config, place, progress, shutdown, &mut report)?
    }
    report.stopped = shutdown.is_triggered();
    report.took = started.elapsed();
    Ok(report)
}

/// A run that writes: recorded before its first file, cleaned up after its last.
fn write_all(
    config: &EtlConfig,
    place: Place<'_>,
    progress: &Progress,
    whole_run: &Shutdown,
    report: &mut Report,
) -> Result<(), BatchError> {
    let shutdown = &whole_run.part();
    progress.begin("checking the archive");
    let found = sweep::look_before(place)?;
    let unreadable = unreadable::look_before(place, &found)?;
    let stamp = Stamp::of_new_run(identity::data_id(place.warehouse)?);
    runs::begin(place.warehouse, &stamp.run_id)?;
    let (run_id, data_id) = (stamp.run_id.clone(), stamp.data_id.clone());
    let archive = place.archive.written_by(stamp);
    let place = Place { archive: &archive, ..place };
    report.hashed = hashes::set_missing(place, &unreadable, shutdown)?;

    read_raw_files(config, place, &unreadable, progress, shutdown, report)?;
    if report.is_cut_off() {
        // As if it had been stopped: the next run does the rest.
        shutdown.trigger();
    }
    files::copy_to_ops(place.warehouse)?;
    progress.begin("archiving closed hours");
    if !shutdown.is_triggered() {
        report.archived_from_stream = closed::archive(config, place, &unreadable, progress, shutdown)?;
    }
    progress.begin("filling realtime.events");
    if !shutdown.is_triggered() {
        report.made_hot = hot::fill(config.hot, place, &unreadable, progress, shutdown)?;
    }
    // Before parts become one: then what a merged part has is in the account by its old parts.
    account::write(place.warehouse, place.archive, &data_id)?;
    progress.begin("merging small files");
    if !shutdown.is_triggered() {
        report.merged = merge::merge(config.merge_files, place, &unreadable, progress, shutdown)?;
    }
    progress.begin("finishing");
    unreadable.store(place.warehouse)?;
    report.unreadable_hours = unreadable.hours();
    // The file may be removed once it is reported as done.
    place.warehouse.sync()?;
    if !shutdown.is_triggered() {
        let left = sweep::sweep(place)?;
        report.swept = left.0;
        report.unnamed = left.1.kept.into_iter().chain(left.1.unexplained).collect();
        runs::finish(place.warehouse, &run_id)?;
    }
    account::write(place.warehouse, place.archive, &data_id)?;
    Ok(())
}

fn read_raw_files(
    config: &EtlConfig,
    place: Place<'_>,
    unreadable: &Unreadable,
    progress: &Progress,
    shutdown: &Shutdown,
    report: &mut Report,
) -> Result<(), BatchError> {
    let started = Instant::now();
    progress.begin("reading raw files");
    let mut found = discover(&config.raw_folder, &config.named);
    if let Some(date) = config.date.as_deref().filter(|_| config.named.is_empty()) {
        found.only_of(date);
    }
    read_files(config, place, &found.files, unreadable, progress, shutdown, report)?;
    report.files.extend(found.unreadable.iter().map(unreadable_report));
    report.passed_over = found.passed_over;
    report.took_files = started.elapsed();
    Ok(())
}

fn read_files(
    config: &EtlConfig,
    place: Place<'_>,
    files: &[RawFile],
    unreadable: &Unreadable,
    progress: &Progress,
    shutdown: &Shutdown,
    report: &mut Report,
) -> Result<(), BatchError> {
    if files.is_empty() {
        return Ok(());
    }
    let sizes = files.iter().map(|file| std::fs::metadata(&file.path).map_or(0, |metadata| metadata.len()));
    progress.expect_files(sizes.sum());
    let max_future_ms = config.max_future.as_millis() as i64;
    let rules = &Rules { max_future_ms, fields: config.fields.clone() };
    let minutes_since = hints::minutes_since(place.warehouse, files, rules, config.minutes)?;
    let threads = std::thread::available_parallelism().map_or(2, usize::from).min(MOST_THREADS);
    let committed = AtomicU64::new(0);
    let (work_sender, work) = sync_channel(threads);
    // Shared by the threads that take from it alone: when they have ended, so has it, and nothing waits
    // for room in it.
    let work = Arc::new(Mutex::new(work));
    let (item_sender, items) = sync_channel::<Numbered>(threads);
    let (full_sender, full) = sync_channel::<Segment>(0);
    let full = Arc::new(Mutex::new(full));
    let (written_sender, written) = sync_channel::<Result<Segment, BatchError>>(0);
    // As many tokens as segments may be on their way.
    let (token_sender, tokens) = sync_channel::<()>(threads);
    let committer = Committer::new(
        place.warehouse,
        place.log,
        place.archive,
        place.metrics,
        shutdown,
        minutes_since,
        config.dry_run,
    );
    let intake = Intake {
        warehouse: place.warehouse,
        files,
        force: config.force,
        dry_run: config.dry_run,
        max_record_bytes: config.max_record_bytes,
        fields: &config.fields,
        progress,
        shutdown,
        work: work_sender,
        items: item_sender.clone(),
    };
    let (sorted, accounts, over_limit) = std::thread::scope(|scope| {
        let named = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let start = |error: std::io::Error| BatchError::Thread(error.to_string());
        let reading = named("etl-read").spawn_scoped(scope, move || intake.run()).map_err(start)?;
        for _ in 0..threads {
            let (work, items) = (Arc::clone(&work), item_sender.clone());
            let parsing = move || parse_pieces(&work, &items, rules, config.max_record_bytes);
            named("etl-parse").spawn_scoped(scope, parsing).map_err(start)?;
            let (full, written) = (Arc::clone(&full), written_sender.clone());
            let writing = move || write_segments(&full, &written, place.archive, config.dry_run);
            named("etl-write").spawn_scoped(scope, writing).map_err(start)?;
        }
        drop((item_sender, written_sender, work, full));
        let committed = &committed;
        let committing = named("etl-commit")
            .spawn_scoped(scope, move || commit_segments(committer, &written, committed, &tokens, progress))
            .map_err(start)?;
        let mut sorter = Sorter {
            sets: HourSets::new(place, unreadable),
            max_record_bytes: config.max_record_bytes,
            segment: Segment::new(1, config.segment_rows.max(1)),
            next_row: 0,
            taken_back: None,
            files,
            progress,
            committed,
            full: full_sender,
            tokens: token_sender,
            settled: Vec::new(),
            guard: ErrorGuard::new(config.max_errors),
        };
        let sorted = sorter.run(&items);
        let settled = std::mem::take(&mut sorter.settled);
        let over_limit = sorter.guard.over.take();
        // Ends the other threads, those that wait for room first.
        drop((sorter, items));
        let panicked = |_| BatchError::Thread("a thread panicked; please report this".to_owned());
        let read = reading.join().map_err(panicked)?;
        let outcome = committing.join().map_err(panicked)??;
        read?;
        sorted?;
        Ok::<_, BatchError>((settled, outcome, over_limit))
    })?;
    report.over_limit = over_limit;
    report.parts = accounts.parts;
    report.part_bytes = accounts.part_bytes;
    report.files = file_reports(files, sorted, accounts.accounts);
    Ok(())
}

/// Writes the files of segments.
fn write_segments(
    full: &Mutex<Receiver<Segment>>,
    written: &SyncSender<Result<Segment, BatchError>>,
    archive: &Archive,
    dry_run: bool,
) {
    loop {
        let next = full.lock().unwrap_or_else(std::sync::PoisonError::into_inner).recv();
        let Ok(mut segment) = next else { return };
        let outcome = if dry_run { Ok(()) } else { segment.encode(archive) };
        if written.send(outcome.map(|()| segment)).is_err() {
            return;
        }
    }
}

/// What was committed.
struct Committed {
    accounts: std::collections::HashMap<usize, Account>,
    parts: u64,
    part_bytes: u64,
}

/// Commits segments in their order.
fn commit_segments(
    mut committer: Committer<'_>,
    written: &Receiver<Result<Segment, BatchError>>,
    committed: &AtomicU64,
    tokens: &Receiver<()>,
    progress: &Progress,
) -> Result<Committed, BatchError> {
    let mut early: BTreeMap<u64, Segment> = BTreeMap::new();
    let mut next = 1;
    while let Ok(segment) = written.recv() {
        let segment = segment?;
        early.insert(segment.number, segment);
        while let Some(segment) = early.remove(&next) {
            let rows = segment.records;
            committer.commit(segment)?;
            progress.committed(rows);
            committed.store(next, Ordering::Release);
            next += 1;
            // There is one for each segment.
            let _ = tokens.recv();
        }
    }
    let accounts = committer.accounts.drain().collect();
    Ok(Committed { accounts, parts: committer.parts, part_bytes: committer.part_bytes })
}

/// Puts what the parsing threads give into the order of the files, dedups, and closes segments.
struct Sorter<'a> {
    sets: HourSets<'a>,
    max_record_bytes: usize,
    segment: Segment,
    /// Number of the current file's next row.
    next_row: u64,
    /// What the current file's account has of a row that is read again.
    taken_back: Option<ErrorType>,
    files: &'a [RawFile],
    progress: &'a Progress,
    committed: &'a AtomicU64,
    full: SyncSender<Segment>,
    tokens: SyncSender<()>,
    settled: Vec<FileReport>,
    guard: ErrorGuard,
}

impl Sorter<'_> {
    fn run(&mut self, items: &Receiver<Numbered>) -> Result<(), BatchError> {
        let mut early: BTreeMap<u64, Item> = BTreeMap::new();
        let mut next = 0;
        while let Ok((number, item)) = items.recv() {
            early.insert(number, item);
            while let Some(item) = early.remove(&next) {
                next += 1;
                if !self.take(item)? {
                    return Ok(());
                }
                if self.guard.over.is_some() {
                    return self.close().map(drop);
                }
            }
        }
        self.guard.judge_whole();
        self.close().map(drop)
    }

    /// False if segments are no longer taken.
    fn take(&mut self, item: Item) -> Result<bool, BatchError> {
        match item {
            Item::Settled { file, plan } => {
                self.settled.push(settled_report(&self.files[file], plan));
                return Ok(true);
            }
            Item::Start { file, start, next_row } => {
                self.next_row = next_row;
                self.taken_back = start.taken_back;
                self.segment.delta(file).start = Some(*start);
            }
            Item::Piece { file, parsed, chunk } => {
                if !self.guard.admits(&self.files[file], self.next_row, &parsed) {
                    return Ok(true);
                }
                self.add(file, *parsed, &chunk)?;
            }
            Item::End { file, state, message } => {
                let message = match (state, message.is_empty()) {
                    (FileState::Damaged, false) if self.next_row > 1 => {
                        format!("after row {}: {message}", self.next_row - 1)
                    }
                    _ => message,
                };
                self.segment.delta(file).state = Some((state, message));
            }
        }
        if self.segment.is_full() { self.close() } else { Ok(true) }
    }

    fn add(&mut self, file: usize, mut parsed: ParsedChunk, chunk: &Chunk) -> Result<(), BatchError> {
        let (number, touched) = (self.segment.number, &mut self.segment.hours);
        let found = self.sets.find_new(parsed.events.event_times(), &parsed.keys, number, touched)?;
        if !found.unjudged.is_empty() {
            parsed.set_aside(&found.unjudged, chunk, self.max_record_bytes);
        }
        let ParsedChunk { events, sums, failed, mut counts, rows, end_position, tail, .. } = parsed;
        let is_new = found.is_new;
        counts.valid = is_new.iter().filter(|is_new| **is_new).count() as u64;
        counts.duplicates = events.len() as u64 - counts.valid - counts.of_type(ErrorType::Archive);
        counts.clicks =
            (0..events.len()).filter(|index| is_new[*index] && events.click(*index)).count() as u64;
        self.progress.parsed(counts.records);
        let base_row = self.next_row;
        self.next_row += rows;
        for record in failed {
            self.segment.bytes += record.payload.len() + 500;
            self.segment.errors.push(ErrorRow { file, row: base_row + record.row, record });
        }
        let next_row = self.next_row;
        let taken_back = self.taken_back.take();
        let delta = self.segment.delta(file);
        // With the row that is read again, so that the account never lacks it.
        delta.taken_back = delta.taken_back.or(taken_back);
        delta.counts.add(&counts);
        let counted = sums.iter().zip(&is_new).filter(|(_, is_new)| **is_new);
        counted.for_each(|(sum, _)| delta.content.add(*sum));
        delta.end = Some((end_position, next_row, tail));
        let times = events.event_times();
        delta.first_event = [delta.first_event, times.iter().min().copied()].into_iter().flatten().min();
        delta.last_event = delta.last_event.max(times.iter().max().copied());
        self.segment.records += counts.records;
        self.segment.new_events += counts.valid as usize;
        if counts.valid > 0 {
            self.segment.bytes += events.byte_size();
            self.segment.pieces.push(Piece { file, events, is_new, sums });
        }
        Ok(())
    }

    /// Passes the segment on; waits while too many are waiting. False if it is no longer taken.
    fn close(&mut self) -> Result<bool, BatchError> {
        if self.segment.is_empty() {
            return Ok(true);
        }
        self.sets.let_go(self.committed.load(Ordering::Acquire));
        let next = self.segment.next();
        let segment = std::mem::replace(&mut self.segment, next);
        // The thread that commits says what has gone wrong when it takes nothing any more.
        Ok(self.tokens.send(()).is_ok() && self.full.send(segment).is_ok())
    }
}

/// Newest hour that has figures.
pub(crate) fn newest_hour(warehouse: &dyn Warehouse) -> Result<Option<Millis>, BatchError> {
    const NEWEST_HOUR: &str = section(ARCHIVE_SQL, "newest_hour");
    let table = query_table(warehouse, NEWEST_HOUR, &[])?;
    Ok(table.one()?.get("newest")?)
}
