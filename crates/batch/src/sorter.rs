//! Puts what was parsed into the order of the files, removes duplicates, and closes segments.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};

use adpipe_event::ErrorType;
use adpipe_runtime::progress::Progress;

use crate::BatchError;
use crate::chunks::Chunk;
use crate::discover::RawFile;
use crate::files::FileState;
use crate::hours::HourSets;
use crate::intake::{Item, Numbered};
use crate::limit::ErrorGuard;
use crate::parse::ParsedChunk;
use crate::report::{FileReport, settled_report};
use crate::segment::{ErrorRow, Piece, Segment};

/// What the thread in the middle works with.
pub(crate) struct Sorter<'a> {
    pub sets: HourSets<'a>,
    pub max_record_bytes: usize,
    pub segment: Segment,
    /// Number of the current file's next row.
    pub next_row: u64,
    /// What the current file's account has of a row that is read again.
    pub taken_back: Option<ErrorType>,
    pub files: &'a [RawFile],
    pub progress: &'a Progress,
    pub committed: &'a AtomicU64,
    pub full: SyncSender<Segment>,
    pub tokens: SyncSender<()>,
    pub settled: Vec<FileReport>,
    pub guard: ErrorGuard,
}

impl Sorter<'_> {
    /// Sorts until nothing comes any more, or the limit of errors is reached.
    pub fn run(&mut self, items: &Receiver<Numbered>) -> Result<(), BatchError> {
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
