//! Where the archive's files lie: what a folder and an object store have in common.
//!
//! A file goes by its path below the archive, `event_date=YYYY-MM-DD/part-….parquet`, which no
//! other file has or had. It is there whole or not at all, and never changes.

use std::fmt::Debug;
use std::io::{self, Write};
use std::path::Path;

use adpipe_warehouse::ArchiveReadError;

use crate::BatchError;

/// How names of unfinished files begin: readers pass over hidden files.
pub(crate) const UNFINISHED: &str = ".unfinished-";

/// What goes wrong with the archive's files.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// There is no such file.
    #[error("{0} is not there")]
    Missing(String),
    /// This one file cannot be read, while the archive can.
    #[error("{path} cannot be read: {reason}")]
    Unreadable {
        /// The file, below the archive.
        path: String,
        /// What the system says.
        reason: String,
    },
    /// It cannot be read or written now: what, and what to do.
    #[error("{location}: {reason}")]
    Failed {
        /// The file, folder or bucket.
        location: String,
        /// What happened, and what to do where that is known.
        reason: String,
    },
}

impl StoreError {
    pub(crate) fn failed(location: impl ToString, reason: impl ToString) -> StoreError {
        StoreError::Failed { location: location.to_string(), reason: reason.to_string() }
    }
}

impl From<StoreError> for BatchError {
    fn from(error: StoreError) -> BatchError {
        match error {
            StoreError::Missing(location) => BatchError::archive(location, "is not there"),
            StoreError::Unreadable { path, reason } => BatchError::archive(path, reason),
            StoreError::Failed { location, reason } => BatchError::archive(location, reason),
        }
    }
}

impl From<StoreError> for ArchiveReadError {
    fn from(error: StoreError) -> ArchiveReadError {
        match error {
            StoreError::Missing(location) => ArchiveReadError::Missing(location),
            StoreError::Unreadable { path, reason } => {
                ArchiveReadError::Damaged { path, reason: format!("it cannot be read: {reason}") }
            }
            failed @ StoreError::Failed { .. } => ArchiveReadError::Unavailable(failed.to_string()),
        }
    }
}

/// Keeps the archive's files.
pub(crate) trait Store: Send + Sync + Debug {
    /// The archive, for people.
    fn location(&self) -> String;

    /// A file, for people.
    fn location_of(&self, path: &str) -> String {
        format!("{}/{path}", self.location())
    }

    /// A file being written, not visible yet.
    fn create(&self, path: &str) -> Result<Box<dyn NewFile>, StoreError>;

    /// A file to be read.
    fn open(&self, path: &str) -> Result<Box<dyn StoredFile>, StoreError>;

    /// Paths of all files below the archive, whoever made them, but for those that adpipe keeps next to
    /// the parts ([`is_beside`]).
    fn list(&self) -> Result<Vec<String>, StoreError>;

    /// Removes a file. It is not an error if the file does not exist.
    fn remove(&self, path: &str) -> Result<(), StoreError>;

    /// Where this machine's lock file is; none if the warehouse keeps the lock.
    fn lock_folder(&self) -> Option<&Path>;

    /// Looks whether the archive could be read and written, and says what is there.
    fn check(&self) -> Result<String, StoreError>;
}

/// A file that is being written.
pub(crate) trait NewFile: Write + Send + Sync + Debug {
    /// All is written: gives the size. It can be published now.
    fn complete(&mut self) -> Result<u64, StoreError>;

    /// Gives it its path, whole and durable.
    fn publish(&self) -> Result<(), StoreError>;

    /// Removes it, published or not. What cannot be removed now is swept by a later run.
    fn discard(&self);
}

/// A file that is being read.
pub(crate) trait StoredFile: Send + Sync + Debug {
    /// Size in bytes.
    fn size(&self) -> u64;

    /// Reads some bytes from a place on; 0 at the end.
    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize>;
}

/// Whether a path is of what adpipe keeps next to the parts: its lock, a probe, what `adpipe rebuild`
/// reads.
pub(crate) fn is_beside(path: &str) -> bool {
    path == ".etl.lock" || path.starts_with(PROBE) || path.starts_with("_adpipe/")
}

/// How the name of a small file begins that shows whether the archive can be written.
pub(crate) const PROBE: &str = ".adpipe-check-";

/// Whether a path is named like a part, finished or not.
pub(crate) fn is_ours(path: &str) -> bool {
    path.split_once('/').is_some_and(|(date, name)| {
        date.starts_with("event_date=")
            && (name.starts_with(UNFINISHED) || (name.starts_with("part-") && name.ends_with(".parquet")))
    })
}
