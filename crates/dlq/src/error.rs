//! What can go wrong, by what the caller does about it.

use adpipe_log::LogError;
use adpipe_warehouse::WarehouseError;

/// A failure of the queue.
#[derive(Debug, thiserror::Error)]
pub enum DlqError {
    /// Failures of the warehouse.
    #[error(transparent)]
    Warehouse(#[from] WarehouseError),
    /// Of the event log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// There is no such error, group or bulk action.
    #[error("{0}")]
    NotFound(String),
    /// What was asked for cannot be done, and why.
    #[error("{0}")]
    Refused(String),
    /// What was asked for makes no sense, whatever the queue holds.
    #[error("{0}")]
    Asked(String),
}

impl DlqError {
    /// No error has this id.
    pub fn no_error(error_id: &str) -> DlqError {
        DlqError::NotFound(format!("error {error_id} does not exist"))
    }

    /// True when the same call may work later.
    pub fn is_transient(&self) -> bool {
        match self {
            DlqError::Warehouse(error) => error.is_transient(),
            DlqError::Log(error) => error.is_transient(),
            DlqError::NotFound(_) | DlqError::Refused(_) | DlqError::Asked(_) => false,
        }
    }
}
