//! What can go wrong with monitoring, by what the caller does about it.

use std::path::PathBuf;

use adpipe_dlq::DlqError;
use adpipe_log::LogError;
use adpipe_schedule::ScheduleError;
use adpipe_warehouse::WarehouseError;

/// The table of alerts is wrong. Correct it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    /// The file cannot be read.
    #[error("{path} cannot be read: {reason}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// A line of it is wrong.
    #[error("{path}:{line}: {message}", path = path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong there, and what to write.
        message: String,
    },
}

/// A failure of measuring, or of keeping what was measured.
#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    /// Of the warehouse.
    #[error(transparent)]
    Warehouse(#[from] WarehouseError),
    /// Of the event log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Of the dead-letter queue.
    #[error(transparent)]
    Dlq(#[from] DlqError),
    /// Of the runs, or another monitor has taken over ([`ScheduleError::Fenced`]).
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// There is no such alert or silence, or it cannot be done with it.
    #[error("{0}")]
    Refused(String),
    /// Something else could not be read.
    #[error("{what}: {reason}")]
    Other {
        /// What was tried.
        what: String,
        /// Why it failed.
        reason: String,
    },
}

impl MonitorError {
    /// True when the same call may work later.
    pub fn is_transient(&self) -> bool {
        match self {
            MonitorError::Warehouse(error) => error.is_transient(),
            MonitorError::Log(error) => error.is_transient(),
            MonitorError::Dlq(error) => error.is_transient(),
            MonitorError::Schedule(error) => error.is_transient(),
            MonitorError::Refused(_) => false,
            MonitorError::Other { .. } => true,
        }
    }
}
