//! What can go wrong with the log, by what the caller does about it.

use std::borrow::Cow;
use std::path::Path;

use adpipe_sql::trouble::Trouble;

/// A failure of the event log.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LogError {
    /// Too many bytes wait for the disk already; the caller should slow down and try again.
    #[error("the event log has {queued_bytes} bytes waiting to be written; try again shortly")]
    Busy {
        /// Bytes queued when the append was refused.
        queued_bytes: usize,
    },
    /// The log cannot be reached or written now, but may be later: locked, full, read-only, i/o error.
    #[error("event log {place}: {reason}; {advice}")]
    Unavailable {
        /// The file or the brokers concerned.
        place: String,
        /// What happened.
        reason: String,
        /// What a person can do about it.
        advice: Cow<'static, str>,
    },
    /// The log refuses it until something is changed: a topic that was never created, a missing right
    /// or password, an unknown setting. Waiting does not help.
    #[error("event log {place}: {reason}; {advice}")]
    Refused {
        /// The brokers concerned.
        place: String,
        /// What happened.
        reason: String,
        /// What to change.
        advice: Cow<'static, str>,
    },
    /// Stored bytes are not what was written. Waiting will not help.
    #[error("event log {place}: {reason}; {advice}")]
    Corrupt {
        /// The file or the brokers concerned.
        place: String,
        /// What was found, and at which offset.
        reason: String,
        /// What a person can do about it.
        advice: Cow<'static, str>,
    },
    /// The records asked for are older than what is kept, or beyond the end of a topic that was created
    /// again.
    #[error(
        "{topic} partition {partition}: offset {wanted} is no longer kept, the oldest is {oldest}; \
         restore copies of the log and the warehouse that fit together"
    )]
    OutOfRange {
        /// Topic name.
        topic: &'static str,
        /// Partition number.
        partition: u32,
        /// The offset asked for.
        wanted: u64,
        /// The oldest offset kept.
        oldest: u64,
    },
    /// The log is closing down.
    #[error("the event log is shutting down")]
    Closed,
}

impl LogError {
    /// True when the same call may work later without anybody's help to the data.
    pub fn is_transient(&self) -> bool {
        matches!(self, LogError::Busy { .. } | LogError::Unavailable { .. })
    }

    /// Sorts a SQLite failure by what the caller can do, with advice for a person.
    pub(crate) fn from_sqlite(path: &Path, error: &rusqlite::Error) -> LogError {
        let trouble = Trouble::of(error);
        let reason = error.to_string();
        match trouble {
            // Our statements are always the same ones: a table, row or type that does not fit them
            // is not what we wrote.
            Trouble::Corrupt | Trouble::Constraint | Trouble::Other => LogError::corrupt(path, reason),
            _ => LogError::unavailable(path, reason, trouble.advice()),
        }
    }

    /// Stored bytes that are not what was written.
    pub(crate) fn corrupt(path: &Path, reason: String) -> LogError {
        LogError::Corrupt {
            place: path.display().to_string(),
            reason,
            advice: Trouble::Corrupt.advice().into(),
        }
    }

    /// A file that cannot be used now.
    pub(crate) fn unavailable(path: &Path, reason: String, advice: &'static str) -> LogError {
        LogError::Unavailable { place: path.display().to_string(), reason, advice: Cow::Borrowed(advice) }
    }
}
