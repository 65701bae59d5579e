//! Some hundred thousand rows of one or many files: what one transaction commits.

use std::collections::HashMap;

use adpipe_event::{ContentSum, ErrorType, EventBatch, Millis};
use adpipe_warehouse::sums::HourContents;
use adpipe_warehouse::{Counts, IdKey, IdSet};

use crate::BatchError;
use crate::archive::{Archive, PartFile, rows_by_date};
use crate::files::{FileRow, FileState, Tail};
use crate::hours::HourBase;
use crate::identity::Because;
use crate::parse::FailedRecord;

/// A segment is closed at so many bytes of events and errors …
const SEGMENT_BYTES: usize = 32 << 20;

/// … or when so many times its rows, duplicates all, have gone by.
const RECORDS_TO_EVENTS: u64 = 16;

/// Events of one piece of a file.
pub(crate) struct Piece {
    pub file: usize,
    pub events: EventBatch,
    pub is_new: Vec<bool>,
    /// Of their contents.
    pub sums: Vec<ContentSum>,
}

/// A record in error, with its row in its file.
pub(crate) struct ErrorRow {
    pub file: usize,
    pub row: u64,
    pub record: FailedRecord,
}

/// The account that a reading begins from.
pub(crate) struct FileStart {
    pub row: FileRow,
    pub because: Because,
    /// Whether the account is in the warehouse already.
    pub is_stored: bool,
    /// The header line of a CSV file, which its errors carry.
    pub columns: Option<String>,
    /// Its first row was counted as an error before, of this type, and is counted again.
    pub taken_back: Option<ErrorType>,
}

/// What a segment adds to a file's account.
#[derive(Default)]
pub(crate) struct FileDelta {
    /// The account it begins from, when the segment holds the file's beginning.
    pub start: Option<FileStart>,
    pub counts: Counts,
    /// Of the events that count.
    pub content: ContentSum,
    /// An error that is in the account and is counted again here.
    pub taken_back: Option<ErrorType>,
    /// Position and next row after it.
    pub end: Option<(u64, u64, Option<Tail>)>,
    pub first_event: Option<Millis>,
    pub last_event: Option<Millis>,
    /// The file ends here, in this state.
    pub state: Option<(FileState, String)>,
}

/// What is committed together.
pub(crate) struct Segment {
    pub number: u64,
    /// It is closed at so many new events.
    full_at: u64,
    pub pieces: Vec<Piece>,
    pub errors: Vec<ErrorRow>,
    /// Hours it has events of, new or not.
    pub hours: Vec<HourBase>,
    /// By file, in the order of the files.
    pub deltas: Vec<(usize, FileDelta)>,
    pub new_events: usize,
    pub records: u64,
    pub bytes: usize,
    /// Written and not named yet.
    pub parts: Vec<PartFile>,
}

impl Segment {
    pub fn new(number: u64, full_at: u64) -> Segment {
        Segment {
            number,
            full_at,
            pieces: Vec::new(),
            errors: Vec::new(),
            hours: Vec::new(),
            deltas: Vec::new(),
            new_events: 0,
            records: 0,
            bytes: 0,
            parts: Vec::new(),
        }
    }

    pub fn is_full(&self) -> bool {
        self.new_events as u64 >= self.full_at
            || self.bytes >= SEGMENT_BYTES
            || self.records >= self.full_at.saturating_mul(RECORDS_TO_EVENTS)
    }

    /// An empty one after this one.
    pub fn next(&self) -> Segment {
        Segment::new(self.number + 1, self.full_at)
    }

    pub fn is_empty(&self) -> bool {
        self.deltas.is_empty()
    }

    pub fn delta(&mut self, file: usize) -> &mut FileDelta {
        if self.deltas.last().is_none_or(|(last, _)| *last != file) {
            self.deltas.push((file, FileDelta::default()));
        }
        // Just pushed when it was not there.
        let last = self.deltas.len() - 1;
        &mut self.deltas[last].1
    }

    /// Writes the new events into files of the archive.
    pub fn encode(&mut self, archive: &Archive) -> Result<(), BatchError> {
        let batches: Vec<&EventBatch> = self.pieces.iter().map(|piece| &piece.events).collect();
        let days = rows_by_date(&batches, |batch, index| self.pieces[batch].is_new[index]);
        let mut parts = Vec::with_capacity(days.len());
        for rows in days {
            parts.push(archive.write(&batches, &rows)?);
        }
        self.parts = parts;
        Ok(())
    }

    /// The contents of the new events, by the hour.
    pub fn content(&self) -> HourContents {
        let mut contents = HourContents::new();
        for piece in &self.pieces {
            contents.add_events(piece.events.event_times(), &piece.sums, &piece.is_new);
        }
        contents
    }

    /// Gives every written file its name.
    pub fn publish(&self) -> Result<(), BatchError> {
        self.parts.iter().try_for_each(PartFile::publish)
    }

    /// Removes what was written.
    pub fn discard(&mut self) {
        self.parts.drain(..).for_each(|part| part.discard());
    }

    /// Makes duplicates of the events of `hour` whose id is in `ids`; gives how many.
    pub fn drop_counted(&mut self, hour: Millis, ids: &IdSet) -> u64 {
        let mut by_file: HashMap<usize, (u64, u64, ContentSum)> = HashMap::new();
        for piece in &mut self.pieces {
            for index in 0..piece.events.len() {
                let is_counted = piece.is_new[index]
                    && piece.events.event_time(index).floor_hour() == hour
                    && ids.contains(IdKey::of(piece.events.id(index)));
                if is_counted {
                    piece.is_new[index] = false;
                    let (events, clicks, content) = by_file.entry(piece.file).or_default();
                    *events += 1;
                    content.add(piece.sums[index]);
                    *clicks += u64::from(piece.events.click(index));
                }
            }
        }
        for (file, delta) in &mut self.deltas {
            if let Some((events, clicks, content)) = by_file.get(file) {
                delta.content.take(*content);
                delta.counts.valid -= events;
                delta.counts.clicks -= clicks;
                delta.counts.duplicates += events;
            }
        }
        by_file.values().map(|(events, ..)| events).sum()
    }
}
