//! What can go wrong in a batch run, by what the caller does about it.

/// A failure that ends the run. What is committed stays; the next run goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// The warehouse cannot go on without somebody's help.
    #[error(transparent)]
    Warehouse(#[from] adpipe_warehouse::WarehouseError),
    /// The error topic cannot be written.
    #[error(transparent)]
    Log(#[from] adpipe_log::LogError),
    /// The archive cannot be read or written.
    #[error("archive {location}: {reason}")]
    Archive {
        /// The file, folder or bucket.
        location: String,
        /// What happened.
        reason: String,
    },
    /// Another process runs batch on this archive.
    #[error("another `adpipe etl` works on {0}; wait for it to end")]
    Busy(String),
    /// The archive was changed by somebody who does not hold its lock.
    #[error("somebody else has added to the archive meanwhile; run it again")]
    Overtaken,
    /// The warehouse names no part of the archive, and the archive has old ones.
    #[error(
        "archive {location} has parts that this warehouse does not know, {example} for one: it belongs to another warehouse; \
         name another place in archive.url, or remove them"
    )]
    Foreign {
        /// The archive.
        location: String,
        /// One of the parts.
        example: String,
    },
    /// A thread could not be started, or ended by a panic.
    #[error("batch: {0}")]
    Thread(String),
}

impl BatchError {
    /// A failure of the archive.
    pub(crate) fn archive(location: impl ToString, reason: impl ToString) -> BatchError {
        BatchError::Archive { location: location.to_string(), reason: reason.to_string() }
    }
}

impl From<adpipe_stream::StreamError> for BatchError {
    fn from(error: adpipe_stream::StreamError) -> BatchError {
        match error {
            adpipe_stream::StreamError::Log(error) => BatchError::Log(error),
            adpipe_stream::StreamError::Warehouse(error) => BatchError::Warehouse(error),
            adpipe_stream::StreamError::Thread(reason) => BatchError::Thread(reason),
        }
    }
}
