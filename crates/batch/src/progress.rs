//! How far a run has come, for whoever watches it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Shared with the thread that shows it.
#[derive(Debug, Default)]
pub struct Progress {
    /// Bytes of all files, as they lie on the disk.
    pub bytes: AtomicU64,
    /// Bytes read or passed over.
    pub bytes_read: Arc<AtomicU64>,
    /// Records parsed.
    pub records: AtomicU64,
    current: Mutex<String>,
}

impl Progress {
    /// Nothing yet.
    pub fn new() -> Progress {
        Progress::default()
    }

    /// What is being worked on.
    pub fn current(&self) -> String {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn begin(&self, what: &str) {
        what.clone_into(&mut self.current.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn parsed(&self, records: u64) {
        self.records.fetch_add(records, Ordering::Relaxed);
    }
}
