//! What can go wrong in a batch run, by what the caller does about it.

/// A failure that ends the run. What is committed stays; the next run continues from there.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// The warehouse cannot continue without intervention.
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
        /// Why, in words.
        reason: String,
    },
    /// Another process runs batch on this archive.
    #[error("another `adpipe etl` is working on {0}; wait until it ends")]
    Busy(String),
    /// The archive was changed by a process that does not hold its lock.
    #[error("another process has added to the archive in the meantime; run the command again")]
    Overtaken,
    /// The archive has parts that the warehouse does not know, and their events are not counted.
    #[error(
        "archive {location} has {parts} that this warehouse does not know, {example} for one ({why}); \
         if the warehouse is new or an older copy, rebuild it from archive and log with `adpipe rebuild`; if \
         the archive belongs to another one, name another place in archive.url; nothing was changed"
    )]
    Foreign {
        /// Its folder or URL.
        location: String,
        /// How many of them there are.
        parts: String,
        /// One of the parts.
        example: String,
        /// Why it is not considered a leftover of a crash.
        why: String,
    },
    /// It was asked to stop.
    #[error("stopped")]
    Stopped,
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

impl From<adpipe_counting::CountingError> for BatchError {
    fn from(error: adpipe_counting::CountingError) -> BatchError {
        match error {
            adpipe_counting::CountingError::Log(error) => BatchError::Log(error),
            adpipe_counting::CountingError::Warehouse(error) => BatchError::Warehouse(error),
        }
    }
}
