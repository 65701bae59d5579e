//! Reads the files, one after the other, and has several threads parse their pieces.

use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};

use adpipe_event::{CsvColumns, FieldMap, Millis, Parser, Rules};
use adpipe_runtime::Shutdown;
use adpipe_warehouse::Warehouse;

use crate::chunks::Chunk;
use crate::discover::RawFile;
use crate::files::{self, FileState};
use crate::identity::{Because, Plan, plan};
use crate::parse::{ParsedChunk, parse};
use crate::reader::Opened;
use crate::segment::FileStart;
use crate::{BatchError, reader};
use adpipe_runtime::progress::Progress;

/// What comes out of the files, numbered in the order of the files.
pub(crate) enum Item {
    /// Nothing is to be read of this file.
    Settled {
        file: usize,
        plan: Plan,
    },
    Start {
        file: usize,
        start: Box<FileStart>,
        next_row: u64,
    },
    Piece {
        file: usize,
        parsed: Box<ParsedChunk>,
        chunk: Chunk,
    },
    /// It is read as far as it can be.
    End {
        file: usize,
        state: FileState,
        message: String,
    },
}

/// A piece on its way to be parsed.
pub(crate) struct Work {
    number: u64,
    file: usize,
    chunk: Chunk,
    columns: Option<Arc<CsvColumns>>,
    /// By which events are in the future: when the reading began.
    started_at: Millis,
}

pub(crate) type Numbered = (u64, Item);

pub(crate) struct Intake<'a> {
    pub warehouse: &'a dyn Warehouse,
    pub files: &'a [RawFile],
    pub force: bool,
    pub dry_run: bool,
    pub max_record_bytes: usize,
    pub fields: &'a FieldMap,
    pub progress: &'a Progress,
    pub shutdown: &'a Shutdown,
    pub work: SyncSender<Work>,
    pub items: SyncSender<Numbered>,
}

/// Why reading ends early.
enum Stopped {
    /// The other side of a channel is gone: something else has failed and says why.
    NobodyListens,
    Failed(BatchError),
}

impl Intake<'_> {
    /// Reads until the end, until the switch is off, or until nothing takes the records.
    pub fn run(self) -> Result<(), BatchError> {
        let mut number = 0;
        for (file, raw) in self.files.iter().enumerate() {
            if self.shutdown.is_triggered() {
                break;
            }
            self.progress.detail(&raw.name);
            let plan = plan(self.warehouse, raw, self.force)?;
            match self.take(file, raw, plan, &mut number) {
                Ok(()) => {}
                Err(Stopped::NobodyListens) => break,
                Err(Stopped::Failed(error)) => return Err(error),
            }
        }
        Ok(())
    }

    fn take(&self, file: usize, raw: &RawFile, plan: Plan, number: &mut u64) -> Result<(), Stopped> {
        let Plan::Read { row, because } = plan else {
            let size = std::fs::metadata(&raw.path).map_or(0, |metadata| metadata.len());
            self.progress.add(size);
            return self.send(number, Item::Settled { file, plan });
        };
        let mut is_stored = matches!(because, Because::Grown | Because::Unfinished);
        let next_row = row.next_row;
        let started_at = row.started_at;
        let (bytes_read, shutdown) = (self.progress.counter(), self.shutdown);
        let opened = reader::open(&raw.path, &row, self.max_record_bytes, self.fields, bytes_read, shutdown);
        if opened.is_err() && self.shutdown.is_triggered() {
            return Ok(());
        }
        // Before anything is decided by it, so that a run after a crash decides the same.
        if opened.is_ok() && !self.dry_run && because != Because::Unfinished {
            files::begin(self.warehouse, &row, self.shutdown).map_err(Stopped::Failed)?;
            is_stored = true;
        }
        let columns = opened.as_ref().ok().and_then(|opened| opened.columns.as_ref());
        let size = row.size;
        let start = Box::new(FileStart {
            row: *row,
            because,
            is_stored,
            taken_back: opened.as_ref().ok().and_then(|opened| opened.taken_back),
            columns: columns.map(|columns| columns.wire().to_owned()),
        });
        let mut opened = match opened {
            Ok(opened) => opened,
            Err(message) => {
                self.send(number, Item::Start { file, start, next_row })?;
                return self.send(number, Item::End { file, state: FileState::Damaged, message });
            }
        };
        self.send(number, Item::Start { file, start, next_row: opened.next_row })?;
        self.cut(file, raw, &mut opened, (started_at, size), number)
    }

    /// Cuts a file into pieces to its end. `planned` is when the reading began, and how long it found the file.
    fn cut(
        &self,
        file: usize,
        raw: &RawFile,
        opened: &mut Opened,
        planned: (Millis, u64),
        number: &mut u64,
    ) -> Result<(), Stopped> {
        let (started_at, size) = planned;
        loop {
            if self.shutdown.is_triggered() {
                return Ok(());
            }
            match opened.cutter.next_chunk() {
                Ok(Some(chunk)) => {
                    let work =
                        Work { number: *number, file, chunk, columns: opened.columns.clone(), started_at };
                    *number += 1;
                    self.work.send(work).map_err(|_| Stopped::NobodyListens)?;
                }
                Ok(None) => {
                    let message = changed_meanwhile(raw, size);
                    return self.send(number, Item::End { file, state: FileState::Done, message });
                }
                // Not what is wrong with the file.
                Err(_) if self.shutdown.is_triggered() => return Ok(()),
                Err(error) => {
                    let message = format!("cannot be read further: {}", reader::with_cure(&error));
                    return self.send(number, Item::End { file, state: FileState::Damaged, message });
                }
            }
        }
    }

    fn send(&self, number: &mut u64, item: Item) -> Result<(), Stopped> {
        *number += 1;
        self.items.send((*number - 1, item)).map_err(|_| Stopped::NobodyListens)
    }
}

/// A word on a file that was written to while it was read: the next run takes the rest.
fn changed_meanwhile(raw: &RawFile, size: u64) -> String {
    match std::fs::metadata(&raw.path) {
        Ok(metadata) if metadata.len() != size => {
            "it was written to while it was read; the next run continues".to_owned()
        }
        _ => String::new(),
    }
}

/// One parsing thread.
pub(crate) fn parse_pieces(
    work: &Mutex<Receiver<Work>>,
    items: &SyncSender<Numbered>,
    rules: &Rules,
    max_record_bytes: usize,
) {
    let mut parser = Parser::new(rules.clone());
    loop {
        let next = work.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Work { number, file, chunk, columns, started_at }) = next else { return };
        let parsed = parse(&chunk, columns.as_deref(), &mut parser, max_record_bytes, started_at);
        let item = Item::Piece { file, parsed: Box::new(parsed), chunk };
        if items.send((number, item)).is_err() {
            return;
        }
    }
}
