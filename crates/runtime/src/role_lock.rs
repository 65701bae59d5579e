//! One process a role on an embedded data folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

/// Held for as long as the process plays the role; the system drops it even after `kill -9`.
#[derive(Debug)]
pub struct RoleLock {
    _file: File,
}

impl RoleLock {
    /// Takes the role, or says that another process has it (`None`).
    ///
    /// Two stream processors on one folder would not count anything twice, as their commits fence
    /// each other, but they would do the same work.
    ///
    /// # Errors
    /// When the lock file cannot be made.
    pub fn take(folder: &Path, role: &str) -> std::io::Result<Option<RoleLock>> {
        adpipe_sql::private::folder(folder)?;
        let path = folder.join(format!("{role}.lock"));
        let options = &mut OpenOptions::new();
        let file = adpipe_sql::private::open(&path, options.create(true).truncate(false).write(true))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(RoleLock { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}
