//! What can go wrong with the warehouse, by what the caller does about it.

/// A failure of the warehouse.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WarehouseError {
    /// It cannot be reached or written now, but may be later. Pause, probe, continue.
    #[error("warehouse {location}: {reason}; {advice}")]
    Unavailable {
        /// Which warehouse, or which of its files.
        location: String,
        /// What happened.
        reason: String,
        /// What a person can do about it.
        advice: &'static str,
    },
    /// Another processor has gone on from the same offset. Start again from the stored one.
    #[error("{topic} partition {partition}: offset {expected} was processed by another process")]
    Fenced {
        /// Topic name.
        topic: String,
        /// Partition number.
        partition: u32,
        /// The offset we started from.
        expected: u64,
    },
    /// The stored bytes are damaged, or were written by a newer adpipe. Waiting will not help.
    #[error("warehouse {location}: {reason}; {advice}")]
    Unusable {
        /// Which warehouse, or which of its files.
        location: String,
        /// What was found.
        reason: String,
        /// What a person can do about it.
        advice: &'static str,
    },
    /// A statement is wrong: the user's, or ours.
    #[error("{0}")]
    Statement(String),
    /// A statement exceeded a limit, or its answer is no longer needed.
    #[error("{0}")]
    Stopped(String),
}

impl WarehouseError {
    /// Stored data that nothing of ours can have written.
    pub fn damaged(location: impl Into<String>, reason: impl Into<String>) -> WarehouseError {
        WarehouseError::Unusable {
            location: location.into(),
            reason: reason.into(),
            advice: "run `adpipe verify --deep`, and restore what it names from a backup",
        }
    }

    /// True when the same call may work later.
    pub fn is_transient(&self) -> bool {
        matches!(self, WarehouseError::Unavailable { .. })
    }
}
