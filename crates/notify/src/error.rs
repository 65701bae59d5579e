//! What can go wrong.

use std::path::PathBuf;

/// A failure of the notifier. None of them holds the webhook's address.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// A file of the configuration cannot be read.
    #[error("{path} cannot be read: {reason}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// A line of the configuration is wrong.
    #[error("{path}:{line}:{column}: {message}", path = path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// What is wrong, and what to write.
        message: String,
    },
    /// The webhook's address cannot be used.
    #[error("{0}")]
    Webhook(String),
    /// The spool's folder cannot be used.
    #[error("{path}: {source}; make the folder writable, or name another as notify.spool", path = path.display())]
    Spool {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The thread, or what it needs, cannot be started.
    #[error("cannot start the notifier: {0}")]
    Start(String),
    /// The figures of the summary cannot be read.
    #[error(transparent)]
    Warehouse(#[from] adpipe_warehouse::WarehouseError),
    /// A date, time or zone that the calendar does not have.
    #[error("{0}")]
    Time(#[from] jiff::Error),
}

impl NotifyError {
    /// Whether it is the configuration that has to be changed.
    pub fn is_usage(&self) -> bool {
        use NotifyError::{Config, Unreadable, Webhook};
        matches!(self, Unreadable { .. } | Config { .. } | Webhook(_))
    }
}
