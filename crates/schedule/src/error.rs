//! What can go wrong with runs, by what the caller does about it.

use std::path::PathBuf;

use adpipe_warehouse::WarehouseError;

/// A failure of the scheduler or of a request to it.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleError {
    /// The file of DAGs is wrong. Correct it.
    #[error("{path}:{line}: {message}", path = path.display())]
    Definition {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong there.
        message: String,
    },
    /// The request cannot be met as things are: a run that is not in a state for it.
    #[error("{0}")]
    Refused(String),
    /// There is no such run; it may have been removed with old ones.
    #[error("{0}")]
    NotThere(String),
    /// What was asked for makes no sense, whatever has run: a DAG or a day that does not exist.
    #[error("{0}")]
    Asked(String),
    /// Another scheduler, or monitor, has taken over. Stop the tasks, change nothing more, stand by.
    #[error("another process has taken over")]
    Fenced,
    /// The warehouse failed.
    #[error(transparent)]
    Warehouse(#[from] WarehouseError),
    /// A file or a process could not be handled.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
}

impl ScheduleError {
    /// True when the same call may work later.
    pub fn is_transient(&self) -> bool {
        matches!(self, ScheduleError::Warehouse(error) if error.is_transient())
    }

    /// True when the user has to change the file of DAGs or what was asked for.
    pub fn is_usage(&self) -> bool {
        matches!(self, ScheduleError::Definition { .. } | ScheduleError::Asked(_))
    }
}
