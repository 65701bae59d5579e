//! What a file is to us: known, grown, replaced or new.
//!
//! A file is known by its name and the hash of its content. One whose first bytes are what was read
//! before has grown: reading continues where it ended. Any other content under the same name is another
//! file, which is read from its beginning; deduplication ensures that events of the previous content
//! are not counted again.

use std::fs::File;
use std::io::{self, Read};
use std::time::UNIX_EPOCH;

use adpipe_event::{ContentSum, Millis};
use adpipe_warehouse::{Counts, Warehouse};
use twox_hash::xxhash3_128::Hasher;

use crate::BatchError;
use crate::discover::{RawFile, open_regular};
use crate::files::{self, FileRow, FileState};

const PIECE_BYTES: usize = 256 << 10;

/// Digits of a content's hash that stand in the account.
const CONTENT_DIGITS: usize = 16;

/// What is to be done with a file.
#[derive(Debug)]
pub enum Plan {
    /// Nothing: it is as it was when it was read.
    Unchanged(Box<FileRow>),
    /// There is nothing in it.
    Empty,
    /// Read it from `row.position` on.
    Read {
        row: Box<FileRow>,
        /// In what way it is not new.
        because: Because,
    },
    Failed(String),
}

/// Why a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Because {
    /// Nothing of it was read before.
    New,
    /// A run before this one did not come to its end.
    Unfinished,
    /// There is more of it than before.
    Grown,
    /// Its name had another content before.
    Replaced,
    Forced,
}

impl Because {
    /// In a word, for reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Because::New => "new",
            Because::Unfinished => "went on",
            Because::Grown => "grown",
            Because::Replaced => "replaced",
            Because::Forced => "forced",
        }
    }
}

/// Looks at a file, without reading it when its size and time are those of its account.
pub fn plan(warehouse: &dyn Warehouse, file: &RawFile, force: bool) -> Result<Plan, BatchError> {
    let known = files::of_path(warehouse, &file.name)?;
    match look(&known, file, force) {
        Ok(plan) => Ok(plan),
        Err(error) => Ok(Plan::Failed(format!("cannot be read: {error}"))),
    }
}

fn look(known: &[FileRow], file: &RawFile, force: bool) -> io::Result<Plan> {
    let opened = open_regular(&file.path)?;
    let metadata = opened.metadata()?;
    let size = metadata.len();
    let modified = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos().to_string();
    if size == 0 {
        return Ok(Plan::Empty);
    }
    let newest = known.iter().rev().find(|row| row.state != FileState::Replaced);
    if let Some(row) = newest
        && !force
        && matches!(row.state, FileState::Done | FileState::Damaged)
        && (row.size, &row.modified) == (size, &modified)
    {
        return Ok(Plan::Unchanged(Box::new(row.clone())));
    }
    let sizes: Vec<u64> = known.iter().map(|row| row.size).filter(|known| *known <= size).collect();
    let hashes = hashes(opened, size, &sizes)?;
    let hash_of = |size: u64| hashes.iter().find(|(at, _)| *at == size).map(|(_, hash)| hash.as_str());
    let Some(size_hash) = hash_of(size).map(str::to_owned) else {
        return Err(io::Error::other("it became shorter while it was read"));
    };
    let continued = known
        .iter()
        .filter(|row| row.size <= size && hash_of(row.size) == Some(row.size_hash.as_str()))
        .max_by_key(|row| (row.size, row.reading));
    let last_reading = known.iter().map(|row| row.reading).max().unwrap_or(0);
    if let Some(row) = continued.filter(|_| !force) {
        if row.size == size && matches!(row.state, FileState::Done | FileState::Damaged) {
            return Ok(Plan::Unchanged(Box::new(FileRow { modified, ..row.clone() })));
        }
        return Ok(read_on(row, size, size_hash, modified));
    }
    let because = match (force && !known.is_empty(), known.is_empty()) {
        (true, _) => Because::Forced,
        (_, true) => Because::New,
        _ => Because::Replaced,
    };
    let content = match continued {
        // The same content: its errors were already reported under this name.
        Some(row) => row.content.clone(),
        None => size_hash[..CONTENT_DIGITS].to_owned(),
    };
    let row = FileRow { content, modified, ..first_row(&file.name, last_reading + 1, size, size_hash) };
    Ok(Plan::Read { row: Box::new(row), because })
}

/// Goes on where a reading of the same content has ended.
fn read_on(row: &FileRow, size: u64, size_hash: String, modified: String) -> Plan {
    let because = if row.size < size { Because::Grown } else { Because::Unfinished };
    // The time when a reading began decides what is in the future: it is the same if a run that was
    // killed continues.
    let started_at = if because == Because::Grown { Millis::now() } else { row.started_at };
    let row = FileRow {
        size,
        size_hash,
        modified,
        state: FileState::Reading,
        message: String::new(),
        started_at,
        ..row.clone()
    };
    Plan::Read { row: Box::new(row), because }
}

/// The account of a reading that begins.
fn first_row(name: &str, reading: i64, size: u64, size_hash: String) -> FileRow {
    FileRow {
        path: name.to_owned(),
        content: String::new(),
        reading,
        size,
        size_hash,
        modified: String::new(),
        state: FileState::Reading,
        message: String::new(),
        position: 0,
        next_row: 1,
        tail: None,
        counts: Counts::default(),
        first_event: None,
        last_event: None,
        started_at: Millis::now(),
        content_sum: Some(ContentSum::default()),
    }
}

/// Hashes of the first `sizes` bytes and of all `size`.
fn hashes(mut file: File, size: u64, sizes: &[u64]) -> io::Result<Vec<(u64, String)>> {
    let mut stops: Vec<u64> = sizes.iter().copied().chain([size]).collect();
    stops.sort_unstable();
    stops.dedup();
    let mut hasher = Hasher::new();
    let mut piece = vec![0; PIECE_BYTES];
    let mut read = 0;
    let mut hashes = Vec::new();
    for stop in stops {
        while read < stop {
            let wanted = (stop - read).min(PIECE_BYTES as u64) as usize;
            match file.read(&mut piece[..wanted]) {
                Ok(0) => return Ok(hashes),
                Ok(count) => {
                    hasher.write(&piece[..count]);
                    read += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        hashes.push((stop, format!("{:032x}", hasher.finish_128())));
    }
    Ok(hashes)
}
