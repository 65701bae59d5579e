//! What can go wrong with monitoring, by what the caller does about it.

use std::path::PathBuf;

use adpipe_dlq::DlqError;
use adpipe_log::LogError;
use adpipe_schedule::ScheduleError;
use adpipe_stream::StreamError;
use adpipe_transform::TransformError;
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

/// A measurement, or keeping it, failed. The states of alerts stay as they are then.
#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    /// The warehouse has not answered for a while, or only just answers again: it was not asked.
    #[error("the warehouse does not answer")]
    Silent,
    /// It takes a while to find out, and is not known yet.
    #[error("it is not known yet")]
    Later,
    /// Failures of the warehouse.
    #[error(transparent)]
    Warehouse(#[from] WarehouseError),
    /// Failures of the log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Of the stream's figures.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// Of the queue's figures.
    #[error(transparent)]
    Dlq(#[from] DlqError),
    /// Of the DAGs' figures, or another monitor has taken over ([`ScheduleError::Fenced`]).
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// Of the data tests' figures.
    #[error(transparent)]
    Transform(Box<TransformError>),
    /// Of this machine's figures.
    #[error("{0}")]
    Machine(#[from] std::io::Error),
    /// There is no such alert or silence, or the action is not possible.
    #[error("{0}")]
    Refused(String),
}

impl From<TransformError> for MonitorError {
    fn from(error: TransformError) -> MonitorError {
        MonitorError::Transform(Box::new(error))
    }
}

impl MonitorError {
    /// Another monitor has taken over.
    pub fn is_fenced(&self) -> bool {
        matches!(self, MonitorError::Schedule(ScheduleError::Fenced))
    }
}
