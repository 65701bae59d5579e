//! What can go wrong, by what the caller does about it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use adpipe_warehouse::WarehouseError;

/// A line of a file of the project.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file, relative to the project's folder, with `/`.
    pub file: Arc<str>,
    /// The line, from 1; 0 for the file as a whole.
    pub line: usize,
}

impl Place {
    /// A line of a file.
    pub fn new(file: &str, line: usize) -> Place {
        Place { file: file.into(), line }
    }

    /// Another line of the same file.
    pub fn at(&self, line: usize) -> Place {
        Place { file: self.file.clone(), line }
    }

    /// A refusal of what is written there.
    pub fn refuse(&self, message: impl Into<String>) -> TransformError {
        TransformError::Project { place: self.clone(), message: message.into() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.file),
            line => write!(f, "{}:{line}", self.file),
        }
    }
}

/// A failure of a transformation as a whole. What one model or test meets is a result of the run.
#[derive(Debug, thiserror::Error)]
pub enum TransformError {
    /// The project says something wrong, or something that this runner does not understand.
    /// Nothing has been changed.
    #[error("{place}: {message}")]
    Project {
        /// File and line.
        place: Place,
        /// What, and what to do.
        message: String,
    },
    /// A file or folder cannot be read or written.
    #[error("{path}: {reason}", path = path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// What was asked for cannot be: a selection, a variable.
    #[error("{0}")]
    Asked(String),
    /// The warehouse.
    #[error(transparent)]
    Warehouse(#[from] WarehouseError),
    /// Another transformation is writing to the same warehouse.
    #[error("another `adpipe transform` is running on {0}; wait until it is done")]
    Busy(String),
    /// The real dbt could not be run, or has left no results.
    #[error("dbt: {0}")]
    Dbt(String),
}

impl TransformError {
    /// True when the user has to change the project, a setting or a flag.
    pub fn is_usage(&self) -> bool {
        matches!(self, TransformError::Project { .. } | TransformError::Asked(_))
    }
}

/// Result of this crate.
pub type Result<T, E = TransformError> = std::result::Result<T, E>;
