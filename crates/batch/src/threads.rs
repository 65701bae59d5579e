//! The threads of a run, and the short queues between them: one reads, several parse, the caller's
//! own sorts (`sorter.rs`), several write the archive's files, one commits.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Scope, ScopedJoinHandle};

use adpipe_event::{Millis, Rules};
use adpipe_runtime::Shutdown;
use adpipe_runtime::progress::Progress;

use crate::archive::Archive;
use crate::back_ends::BackEnds;
use crate::commit::{Account, Committer};
use crate::config::EtlConfig;
use crate::discover::RawFile;
use crate::hours::HourSets;
use crate::intake::{Intake, Numbered, Work, parse_pieces};
use crate::limit::{ErrorGuard, OverLimit};
use crate::report::FileReport;
use crate::segment::Segment;
use crate::sorter::Sorter;
use crate::unreadable::Unreadable;
use crate::{BatchError, hints};

/// Threads of a kind, at most: memory grows with each.
const MOST_THREADS: usize = 4;

/// What the files are read with.
pub(crate) struct Reading<'a> {
    pub config: &'a EtlConfig,
    pub back_ends: BackEnds<'a>,
    pub files: &'a [RawFile],
    pub unreadable: &'a Unreadable,
    pub progress: &'a Progress,
    pub shutdown: &'a Shutdown,
}

/// What became of the files.
pub(crate) struct Outcome {
    pub settled: Vec<FileReport>,
    pub committed: Committed,
    pub over_limit: Option<OverLimit>,
}

/// The sorter's way to the threads after it.
struct Onward<'a> {
    full: SyncSender<Segment>,
    tokens: SyncSender<()>,
    committed: &'a AtomicU64,
}

impl Reading<'_> {
    /// Reads, sorts, writes and commits, side by side.
    pub fn run(&self) -> Result<Outcome, BatchError> {
        let max_future_ms = self.config.max_future.as_millis() as i64;
        let rules = &Rules { max_future_ms, fields: self.config.fields.clone() };
        let minutes = self.config.minutes;
        let minutes_since = hints::minutes_since(self.back_ends.warehouse, self.files, rules, minutes)?;
        let threads = std::thread::available_parallelism().map_or(2, usize::from).min(MOST_THREADS);
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
        let committer = self.committer(minutes_since);
        let intake = self.intake(work_sender, item_sender.clone());
        let committed = &AtomicU64::new(0);
        std::thread::scope(|scope| {
            let reading = start(scope, "etl-read", move || intake.run())?;
            for _ in 0..threads {
                let (work, items) = (Arc::clone(&work), item_sender.clone());
                let max_record_bytes = self.config.max_record_bytes;
                start(scope, "etl-parse", move || parse_pieces(&work, &items, rules, max_record_bytes))?;
                let (full, written) = (Arc::clone(&full), written_sender.clone());
                let (archive, dry_run) = (self.back_ends.archive, self.config.dry_run);
                start(scope, "etl-write", move || write_segments(&full, &written, archive, dry_run))?;
            }
            drop((item_sender, written_sender, work, full));
            let committing = start(scope, "etl-commit", move || {
                commit_segments(committer, &written, committed, &tokens, self.progress)
            })?;
            let mut sorter = self.sorter(Onward { full: full_sender, tokens: token_sender, committed });
            let sorted = sorter.run(&items);
            let (settled, over_limit) = (std::mem::take(&mut sorter.settled), sorter.guard.over.take());
            // Ends the other threads, those that wait for room first.
            drop((sorter, items));
            let read = joined(reading)?;
            let committed = joined(committing)??;
            read?;
            sorted?;
            Ok(Outcome { settled, committed, over_limit })
        })
    }

    fn intake(&self, work: SyncSender<Work>, items: SyncSender<Numbered>) -> Intake<'_> {
        Intake {
            warehouse: self.back_ends.warehouse,
            files: self.files,
            force: self.config.force,
            dry_run: self.config.dry_run,
            max_record_bytes: self.config.max_record_bytes,
            fields: &self.config.fields,
            progress: self.progress,
            shutdown: self.shutdown,
            work,
            items,
        }
    }

    fn committer(&self, minutes_since: Millis) -> Committer<'_> {
        let BackEnds { warehouse, log, archive, metrics } = self.back_ends;
        let dry_run = self.config.dry_run;
        Committer::new(warehouse, log, archive, metrics, self.shutdown, minutes_since, dry_run)
    }

    fn sorter<'s>(&'s self, onward: Onward<'s>) -> Sorter<'s> {
        Sorter {
            sets: HourSets::new(self.back_ends, self.unreadable),
            max_record_bytes: self.config.max_record_bytes,
            segment: Segment::new(1, self.config.segment_rows.max(1)),
            next_row: 0,
            taken_back: None,
            files: self.files,
            progress: self.progress,
            committed: onward.committed,
            full: onward.full,
            tokens: onward.tokens,
            settled: Vec::new(),
            guard: ErrorGuard::new(self.config.max_errors),
        }
    }
}

fn start<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: &str,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>, BatchError> {
    let thread = std::thread::Builder::new().name(name.to_owned());
    thread.spawn_scoped(scope, work).map_err(|error| BatchError::Thread(error.to_string()))
}

fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> Result<T, BatchError> {
    let panicked = |_| BatchError::Thread("a thread panicked; please report this".to_owned());
    thread.join().map_err(panicked)
}

/// Writes the files of segments.
fn write_segments(
    full: &Mutex<Receiver<Segment>>,
    written: &SyncSender<Result<Segment, BatchError>>,
    archive: &Archive,
    dry_run: bool,
) {
    loop {
        let next = full.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(mut segment) = next else { return };
        let outcome = if dry_run { Ok(()) } else { segment.encode(archive) };
        if written.send(outcome.map(|()| segment)).is_err() {
            return;
        }
    }
}

/// What was committed.
pub(crate) struct Committed {
    pub accounts: HashMap<usize, Account>,
    pub parts: u64,
    pub part_bytes: u64,
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
