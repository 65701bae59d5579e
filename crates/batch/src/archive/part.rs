//! A stored file as the Parquet reader needs it.

use std::io::{self, BufReader, Read};
use std::sync::{Arc, Mutex, PoisonError};

use adpipe_warehouse::ArchiveReadError;
use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};
use twox_hash::xxhash3_128::Hasher;

use super::hash_text;
use super::store::StoredFile;

/// Bytes of a file that are read and hashed at once.
const HASHED_AT_ONCE: usize = 256 << 10;

/// Shared by the readers of its columns.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: String,
    location: String,
    file: Box<dyn StoredFile>,
    /// Why it could not be read, which the Parquet reader cannot distinguish from damage.
    failure: Mutex<Option<Failure>>,
}

#[derive(Debug, Clone)]
struct Failure {
    reason: String,
    /// The system itself reports this for a local file: it concerns only this file.
    is_of_this_file: bool,
}

impl Part {
    pub fn new(path: String, location: String, file: Box<dyn StoredFile>) -> Part {
        Part { shared: Arc::new(Shared { path, location, file, failure: Mutex::new(None) }) }
    }

    /// Size in bytes.
    pub fn size(&self) -> u64 {
        self.shared.file.size()
    }

    /// What the Parquet reader's failure comes from: a file that cannot be read now, or is damaged.
    pub fn error(&self, error: &ParquetError) -> ArchiveReadError {
        let (path, location) = (self.shared.path.clone(), &self.shared.location);
        match &*self.shared.failure.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(Failure { reason, is_of_this_file: true }) => {
                ArchiveReadError::Damaged { path, reason: format!("it cannot be read: {reason}") }
            }
            Some(Failure { reason, .. }) => ArchiveReadError::Unavailable(format!("{location}: {reason}")),
            None => ArchiveReadError::Damaged { path, reason: error.to_string() },
        }
    }

    /// XXH3-128 of the whole file, hexadecimal, and its length.
    pub fn hash(&self) -> Result<(String, u64), ArchiveReadError> {
        let mut hasher = Hasher::new();
        let mut piece = vec![0; HASHED_AT_ONCE];
        let mut position = 0;
        loop {
            let read = self.read_at(position, &mut piece);
            match read.map_err(|error| self.error(&ParquetError::External(Box::new(error))))? {
                0 => return Ok((hash_text(&hasher), position)),
                count => {
                    hasher.write(&piece[..count]);
                    position += count as u64;
                }
            }
        }
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.shared.file.read_at(position, buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let mut failure = self.shared.failure.lock().unwrap_or_else(PoisonError::into_inner);
                    let is_of_this_file = error.raw_os_error().is_some();
                    *failure = Some(Failure { reason: error.to_string(), is_of_this_file });
                    return Err(error);
                }
                read => return read,
            }
        }
    }
}

/// Reads on from a place.
#[derive(Debug)]
pub(crate) struct ReadFrom {
    part: Part,
    position: u64,
}

impl Read for ReadFrom {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.part.read_at(self.position, buffer)?;
        self.position += count as u64;
        Ok(count)
    }
}

impl Length for Part {
    fn len(&self) -> u64 {
        self.size()
    }
}

impl ChunkReader for Part {
    type T = BufReader<ReadFrom>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(BufReader::new(ReadFrom { part: self.clone(), position: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        if start.saturating_add(length as u64) > self.size() {
            return Err(ParquetError::EOF(format!("it ends before byte {}", start + length as u64)));
        }
        let mut bytes = vec![0; length];
        let mut filled = 0;
        while filled < length {
            match self.read_at(start + filled as u64, &mut bytes[filled..])? {
                0 => return Err(ParquetError::EOF("it has become shorter".to_owned())),
                count => filled += count,
            }
        }
        Ok(Bytes::from(bytes))
    }
}
