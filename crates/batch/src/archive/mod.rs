//! The archive: Hive-partitioned Parquet that DuckDB, Polars and Spark read as it is.
//!
//! `event_date=YYYY-MM-DD/part-….parquet` in a local folder or an object store. `schema.rs` says what
//! is in a file, `write.rs` makes one, `read.rs` reads ids and events out of one; `store.rs` says what
//! they need of the place where files are, `folder.rs` and `s3/` implement it. A file gets its path,
//! whole, right before the transaction that names it and notes its hash, by which it can be checked by
//! itself. It carries the run that wrote it, so that files that a crash left behind can be
//! distinguished from another warehouse's.

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
use std::sync::{Arc, Mutex};

use adpipe_event::Millis;
use twox_hash::xxhash3_128::Hasher;

use crate::BatchError;
use folder::Folder;
pub(crate) use store::Store;

pub use read::Origin;
pub use store::StoreError;
pub(crate) use store::{StoredFile, UNFINISHED, is_ours};
pub(crate) use write::run_in_name;
pub use write::{OfHour, PartFile, Rows, rows_by_date};

/// Digits of a run's id.
pub(crate) const RUN_ID_DIGITS: usize = 32;

/// What each part says of the run that wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// The run, 32 digits.
    pub run_id: String,
    /// The data set that the warehouse is of.
    pub data_id: String,
    /// Where its events came from, as `realtime.archive_parts` says: `file`, `stream` or `merged`.
    pub source: &'static str,
}

impl Stamp {
    /// Of a new run.
    pub fn of_new_run(data_id: String) -> Stamp {
        let millis = Millis::now().0.max(0) as u64;
        let id = uuid::Builder::from_unix_timestamp_millis(millis, &rand::random()).into_uuid();
        Stamp { run_id: id.simple().to_string(), data_id, source: "file" }
    }
}

/// The archive. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Archive {
    pub(crate) store: Arc<dyn Store>,
    /// The run that writes; none for those that only read.
    stamp: Option<Arc<Stamp>>,
    /// Paths and hashes of parts that this process has compared with the list.
    checked: Arc<Mutex<HashSet<(String, String)>>>,
}

impl Archive {
    /// The archive in this folder, which need not be there yet.
    pub fn in_folder(root: &Path) -> Archive {
        Archive::of(Folder::new(root))
    }

    fn of(store: impl Store + 'static) -> Archive {
        Archive { store: Arc::new(store), stamp: None, checked: Arc::default() }
    }

    /// The same archive, to be written by a run.
    pub fn written_by(&self, stamp: Stamp) -> Archive {
        Archive { stamp: Some(Arc::new(stamp)), ..self.clone() }
    }

    /// The same archive, to be written by the same run with events from elsewhere: `stream`, `merged`.
    pub(crate) fn with_source(&self, source: &'static str) -> Archive {
        let stamp = self.stamp.as_ref().map(|stamp| Arc::new(Stamp { source, ..stamp.as_ref().clone() }));
        Archive { stamp, ..self.clone() }
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

    /// Where this machine's lock file is; none if the warehouse keeps the lock.
    pub(crate) fn lock_folder(&self) -> Option<&Path> {
        self.store.lock_folder()
    }

    /// Paths of all files below the archive, whatever made them, in order.
    ///
    /// # Errors
    /// When the archive cannot be listed.
    pub fn list(&self) -> Result<Vec<String>, BatchError> {
        let mut paths = self.store.list()?;
        paths.sort_unstable();
        Ok(paths)
    }

    /// Files that are named like parts, and that no row names; `named` are the paths of
    /// `realtime.archive_parts`.
    ///
    /// # Errors
    /// When the archive cannot be listed.
    pub fn strays(&self, named: &HashSet<String>) -> Result<Vec<String>, BatchError> {
        let mut paths = self.list()?;
        paths.retain(|path| is_ours(path) && !named.contains(path));
        Ok(paths)
    }

    /// Removes a file that is named no more.
    pub(crate) fn remove(&self, path: &str) -> Result<(), BatchError> {
        Ok(self.store.remove(path)?)
    }
}

/// A hash as it is stored.
fn hash_text(hasher: &Hasher) -> String {
    format!("{:032x}", hasher.finish_128())
}

/// `YYYY-MM-DD` of a time.
pub fn date_of(time: Millis) -> String {
    let mut text = time.to_string();
    text.truncate("YYYY-MM-DD".len());
    text
}
