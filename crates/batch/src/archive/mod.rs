//! The archive: Hive-partitioned Parquet that DuckDB, Polars and Spark read as it stands.
//!
//! `event_date=YYYY-MM-DD/part-….parquet` below one folder. `schema.rs` says what is in a file,
//! `write.rs` makes one, `read.rs` reads ids and events out of one. A file is written under a name
//! that no reader takes for a part, synced, and renamed before the transaction that names it: one
//! that no row of `realtime.archive_parts` names is what a crash left behind, and is swept.

mod read;
mod schema;
mod write;

use std::collections::HashSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use adpipe_event::Millis;

use crate::BatchError;

pub use write::{OfHour, PartFile, Rows, rows_by_date};

/// How names of unfinished files begin: readers pass over hidden files.
const UNFINISHED: &str = ".unfinished-";

/// The archive in a local folder.
#[derive(Debug, Clone)]
pub struct Archive {
    root: PathBuf,
}

impl Archive {
    /// The archive in this folder, which need not be there yet.
    pub fn new(root: &Path) -> Archive {
        Archive { root: root.to_path_buf() }
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Files that no row names; `named` are the paths of `realtime.archive_parts`.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn strays(&self, named: &HashSet<String>) -> Result<Vec<PathBuf>, BatchError> {
        let mut strays = Vec::new();
        let Ok(dates) = fs::read_dir(&self.root) else { return Ok(strays) };
        for date in dates {
            let date = date.map_err(|error| BatchError::archive(&self.root, error))?;
            let date_name = date.file_name().to_string_lossy().into_owned();
            if !date_name.starts_with("event_date=") {
                continue;
            }
            let files =
                fs::read_dir(date.path()).map_err(|error| BatchError::archive(&date.path(), error))?;
            for file in files {
                let file = file.map_err(|error| BatchError::archive(&date.path(), error))?;
                let name = file.file_name().to_string_lossy().into_owned();
                let is_ours =
                    name.starts_with(UNFINISHED) || (name.starts_with("part-") && name.ends_with(".parquet"));
                if is_ours && !named.contains(&format!("{date_name}/{name}")) {
                    strays.push(file.path());
                }
            }
        }
        Ok(strays)
    }

    /// Removes what no row names. Only for who holds the archive's lock, and has synced the
    /// warehouse: a row that a power failure brings back would name a file that is gone.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn sweep(&self, strays: &[PathBuf]) -> Result<(), BatchError> {
        strays
            .iter()
            .try_for_each(|path| fs::remove_file(path).map_err(|error| BatchError::archive(path, error)))
    }

    /// Removes parts that are named no more.
    pub(crate) fn remove(&self, path: &str) -> Result<(), BatchError> {
        let whole = self.root.join(path);
        match fs::remove_file(&whole) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(BatchError::archive(&whole, error))
            }
            _ => Ok(()),
        }
    }

    /// The folder of a date, made when it is missing.
    fn date_folder(&self, date: &str) -> Result<PathBuf, BatchError> {
        let folder = self.root.join(format!("event_date={date}"));
        if !folder.is_dir() {
            fs::create_dir_all(&folder).map_err(|error| BatchError::archive(&folder, error))?;
            sync_folder(&self.root)?;
        }
        Ok(folder)
    }
}

/// A rename is safe from a power failure once its folder is synced.
fn sync_folder(folder: &Path) -> Result<(), BatchError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| BatchError::archive(folder, error))
}

/// `YYYY-MM-DD` of a time.
pub fn date_of(time: Millis) -> String {
    let mut text = time.to_string();
    text.truncate("YYYY-MM-DD".len());
    text
}
