//! The status of an error.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The states of an error (`docs/DLQ.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Waits for its next attempt.
    Pending,
    /// Was sent; the outcome is awaited.
    Retrying,
    /// Needs a decision: no retries are left, or a retry would not help.
    Exhausted,
    /// Its event is counted.
    Resolved,
    /// It was decided that it does not count.
    Discarded,
}

impl Status {
    /// Every status, in the order of the columns of `errors.groups`.
    pub const ALL: [Status; 5] =
        [Status::Pending, Status::Retrying, Status::Exhausted, Status::Resolved, Status::Discarded];

    /// Those that still need something.
    pub const OPEN: [Status; 3] = [Status::Pending, Status::Retrying, Status::Exhausted];

    /// The name used in SQL, metrics and on screens.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Pending => "pending",
            Status::Retrying => "retrying",
            Status::Exhausted => "exhausted",
            Status::Resolved => "resolved",
            Status::Discarded => "discarded",
        }
    }
}

impl FromStr for Status {
    type Err = String;

    fn from_str(name: &str) -> Result<Status, String> {
        Status::ALL.into_iter().find(|status| status.as_str() == name).ok_or_else(|| {
            format!("unknown status {name:?}; it is pending, retrying, exhausted, resolved or discarded")
        })
    }
}
