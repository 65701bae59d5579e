//! Files that are there whole or not at all.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use adpipe_sql::private;

use crate::error::NotifyError;

/// How many entries may wait: an alert a minute for a week.
pub const WAITING_MOST: usize = 10_000;

static COUNTER: AtomicU64 = AtomicU64::new(0);

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> NotifyError {
    let path = path.to_path_buf();
    |source| NotifyError::Spool { path, source }
}

/// Writes a file next to its place, syncs it, and renames it there.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), NotifyError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    let temporary = folder.join(format!(".{}-{number}.tmp", std::process::id()));
    let written = (|| {
        let options = &mut OpenOptions::new();
        let mut file = private::open(&temporary, options.write(true).create(true).truncate(true))?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    })();
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    written.map_err(failed(path))?;
    sync_folder(folder)
}

/// Makes what was renamed into a folder, or out of it, safe from a power failure.
fn sync_folder(folder: &Path) -> Result<(), NotifyError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed(folder))
}

/// The names in a folder, sorted: `NAME` for each `NAME.json`.
pub fn list(folder: &Path) -> Result<Vec<String>, NotifyError> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed(folder))? {
        let name = entry.map_err(failed(folder))?.file_name();
        if let Some(name) = name.to_str().and_then(|name| name.strip_suffix(".json")) {
            names.push(name.to_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Removes a file that may be gone already.
pub fn remove(path: &Path) -> Result<(), NotifyError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed(path)(error)),
        _ => Ok(()),
    }
}

/// Renames a file that may be gone already.
pub fn rename(from: &Path, to: &Path) -> Result<(), NotifyError> {
    match std::fs::rename(from, to) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed(from)(error)),
        _ => Ok(()),
    }
}

/// Removes what a process left that died while it wrote.
pub fn remove_temporary(folder: &Path, age: Duration) {
    let leftovers = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let is_old = |path: &PathBuf| {
        let modified = std::fs::metadata(path).and_then(|metadata| metadata.modified());
        modified.is_ok_and(|at| at.elapsed().is_ok_and(|elapsed| elapsed > age))
    };
    for path in leftovers.map(|entry| entry.path()) {
        if path.extension().is_some_and(|extension| extension == "tmp") && is_old(&path) {
            let _ = std::fs::remove_file(path);
        }
    }
}
