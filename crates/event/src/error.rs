//! Why a record is not an event.

use std::str::FromStr;

/// The kinds of bad records (`docs/EVENTS.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ErrorType {
    /// Not readable as a record.
    Parse,
    /// A field is missing or of the wrong type.
    Schema,
    /// A value is out of its range.
    Validation,
    /// The event's time is ahead of the clock; resolves by itself when its time has come.
    Future,
    /// The warehouse refuses this one record.
    Sink,
    /// The archive's part of the event's hour is missing or damaged, so it is unknown whether the event
    /// was already counted. Retried automatically once the part can be read.
    Archive,
}

impl ErrorType {
    /// Every type, in the order of the enum.
    pub const ALL: [ErrorType; 6] = [
        ErrorType::Parse,
        ErrorType::Schema,
        ErrorType::Validation,
        ErrorType::Future,
        ErrorType::Sink,
        ErrorType::Archive,
    ];

    /// The name used in headers, SQL and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorType::Parse => "parse",
            ErrorType::Schema => "schema",
            ErrorType::Validation => "validation",
            ErrorType::Future => "future",
            ErrorType::Sink => "sink",
            ErrorType::Archive => "archive",
        }
    }
}

impl FromStr for ErrorType {
    type Err = String;

    fn from_str(name: &str) -> Result<ErrorType, String> {
        ErrorType::ALL
            .into_iter()
            .find(|error_type| error_type.as_str() == name)
            .ok_or_else(|| format!("unknown error type {name}"))
    }
}

/// What is wrong with a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EventError {
    /// The kind of fault.
    pub error_type: ErrorType,
    /// The field to blame, when there is one.
    pub field: Option<&'static str>,
    /// What was found and what is allowed.
    pub message: String,
}

impl EventError {
    pub(crate) fn parse(message: impl Into<String>) -> EventError {
        EventError { error_type: ErrorType::Parse, field: None, message: message.into() }
    }

    /// Of a record that is longer than a record may be: only its beginning was kept.
    pub fn too_long(bytes: impl std::fmt::Display) -> EventError {
        EventError::parse(format!("the record has {bytes} bytes, more than a record may have"))
    }

    pub(crate) fn schema(field: &'static str, message: String) -> EventError {
        EventError { error_type: ErrorType::Schema, field: Some(field), message }
    }

    pub(crate) fn validation(field: &'static str, message: String) -> EventError {
        EventError { error_type: ErrorType::Validation, field: Some(field), message }
    }
}

/// A value as it may stand in a message: short, and without control characters.
pub(crate) fn shown(value: &str) -> String {
    const LONGEST: usize = 60;
    let mut text: String = value.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if value.chars().nth(LONGEST).is_some() {
        text.push('…');
    }
    text
}

/// A value as it is in a message about it: a number bare, everything else in quotes, so that messages
/// which differ only in their values can be grouped.
pub(crate) fn quoted(value: &str) -> String {
    let is_number = !value.is_empty()
        && value.bytes().any(|byte| byte.is_ascii_digit())
        && value.bytes().all(|byte| byte.is_ascii_digit() || b"+-.".contains(&byte));
    if is_number { shown(value) } else { format!("\"{}\"", shown(value)) }
}
