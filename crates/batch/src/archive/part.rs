//! A stored file as the Parquet reader wants it.

use std::io::{self, BufReader, Read};
use std::sync::{Arc, Mutex, PoisonError};

use adpipe_warehouse::ArchiveReadError;
use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

use super::store::StoredFile;

/// Shared by the readers of its columns.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    location: String,
    file: Box<dyn StoredFile>,
    /// Why it could not be read, which the Parquet reader cannot tell from damage.
    failure: Mutex<Option<String>>,
}

impl Part {
    pub fn new(location: String, file: Box<dyn StoredFile>) -> Part {
        Part { shared: Arc::new(Shared { location, file, failure: Mutex::new(None) }) }
    }

    /// Size in bytes.
    pub fn size(&self) -> u64 {
        self.shared.file.size()
    }

    /// What the Parquet reader's failure comes from: a file that cannot be read now, or is damaged.
    pub fn error(&self, error: &ParquetError) -> ArchiveReadError {
        let location = &self.shared.location;
        match &*self.shared.failure.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(reason) => ArchiveReadError::Unavailable(format!("{location}: {reason}")),
            None => ArchiveReadError::Damaged(format!("{location}: {error}")),
        }
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.shared.file.read_at(position, buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let mut failure = self.shared.failure.lock().unwrap_or_else(PoisonError::into_inner);
                    *failure = Some(error.to_string());
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
