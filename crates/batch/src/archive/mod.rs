//! The archive: Hive-partitioned Parquet that DuckDB, Polars and Spark read as it stands.
//!
//! `event_date=YYYY-MM-DD/part-….parquet` in a local folder or an object store. `schema.rs` says
//! what is in a file, `write.rs` makes one, `read.rs` reads ids and events out of one; `store.rs`
//! says what they need of the place where files lie, `folder.rs` and `s3/` are the two there are. A
//! file gets its path, whole, right before the transaction that names it: one that no row of
//! `realtime.archive_parts` names is what a crash left behind, and is swept.

mod folder;
mod part;
mod read;
#[cfg(feature = "s3")]
pub mod s3;
mod schema;
mod store;
mod write;

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use adpipe_event::Millis;

use crate::BatchError;
use folder::Folder;
use store::Store;

pub use store::StoreError;
pub(crate) use write::is_written_before;
pub use write::{OfHour, PartFile, Rows, rows_by_date};

/// The archive. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Archive {
    store: Arc<dyn Store>,
}

impl Archive {
    /// The archive in this folder, which need not be there yet.
    pub fn in_folder(root: &Path) -> Archive {
        Archive { store: Arc::new(Folder::new(root)) }
    }

    /// Where it is, for people.
    pub fn location(&self) -> String {
        self.store.location()
    }

    /// Looks whether it can be read and written; says what is there.
    ///
    /// # Errors
    /// What is wrong, and what to do.
    pub fn check(&self) -> Result<String, StoreError> {
        self.store.check()
    }

    /// Where this machine's lock file lies; none when the warehouse keeps the lock.
    pub(crate) fn lock_folder(&self) -> Option<&Path> {
        self.store.lock_folder()
    }

    /// Files that no row names; `named` are the paths of `realtime.archive_parts`.
    ///
    /// # Errors
    /// When the archive cannot be listed.
    pub fn strays(&self, named: &HashSet<String>) -> Result<Vec<String>, BatchError> {
        let mut paths = self.store.list()?;
        paths.retain(|path| !named.contains(path));
        paths.sort_unstable();
        Ok(paths)
    }

    /// Removes what no row names. Only for who holds the archive's lock, and has synced the
    /// warehouse: a row that a power failure brings back would name a file that is gone.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn sweep(&self, strays: &[String]) -> Result<(), BatchError> {
        strays.iter().try_for_each(|path| self.remove(path))
    }

    /// Removes a file that is named no more.
    pub(crate) fn remove(&self, path: &str) -> Result<(), BatchError> {
        Ok(self.store.remove(path)?)
    }
}

/// `YYYY-MM-DD` of a time.
pub fn date_of(time: Millis) -> String {
    let mut text = time.to_string();
    text.truncate("YYYY-MM-DD".len());
    text
}
