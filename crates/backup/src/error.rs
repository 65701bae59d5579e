//! What goes wrong, and what to do.

use std::path::{Path, PathBuf};

/// Why there is no backup, or nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// It was asked to stop.
    #[error("stopped")]
    Stopped,
    /// Another process writes into the same folder.
    #[error("{}: another `adpipe backup` is writing here; wait until it ends, or name another folder", .0.display())]
    Busy(PathBuf),
    /// It cannot be done as asked: what is wrong, and what to do.
    #[error("{0}")]
    Refused(String),
    /// The backup is not whole, or not as it was written.
    #[error("{}: {reason}; nothing was restored: take another backup", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file or folder cannot be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// In a word: read, write, make.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A database cannot be read.
    #[error("{}: {reason}; {advice}", path.display())]
    Database {
        /// The database file.
        path: PathBuf,
        /// What SQLite says.
        reason: String,
        /// What to do.
        advice: &'static str,
    },
    /// The warehouse's server.
    #[error(transparent)]
    Warehouse(#[from] adpipe_warehouse::WarehouseError),
    /// One of PostgreSQL's programs.
    #[error("{program}: {reason}")]
    Program {
        /// The program that could not be run, or failed.
        program: &'static str,
        /// Its last words, and what to do.
        reason: String,
    },
}

impl BackupError {
    pub(crate) fn file(
        action: &'static str,
        path: &Path,
    ) -> impl FnOnce(std::io::Error) -> BackupError + use<> {
        let path = path.to_path_buf();
        move |source| BackupError::File { action, path, source }
    }

    pub(crate) fn database(path: &Path, error: &rusqlite::Error) -> BackupError {
        let advice = adpipe_sql::trouble::Trouble::of(error).advice();
        BackupError::Database { path: path.to_path_buf(), reason: error.to_string(), advice }
    }
}
