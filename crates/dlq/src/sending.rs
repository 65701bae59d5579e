//! The outcomes of errors that were sent again.
//!
//! A failure is an outcome, too, also of an error that is tried again by itself later: a caller waits
//! for the one attempt that it asked for.

use adpipe_sql::section;
use adpipe_warehouse::{Value, query_table};

use crate::Dlq;
use crate::error::DlqError;
use crate::row::status_of;
use crate::status::Status;

const SENDER_SQL: &str = include_str!("../sql/sender.sql");
const TRIED: &str = section(SENDER_SQL, "tried");
const HEARD_OF: &str = section(SENDER_SQL, "heard_of");

/// An error about to be sent, and which try that will be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sending {
    /// Names the error that is sent again.
    pub error_id: String,
    attempt: i64,
}

/// What is known of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// It is still to be sent, or was sent and not heard of.
    Nothing,
    /// It was not sent: the error was closed meanwhile, or could not be sent at all.
    NotSent(Status),
    /// It has its outcome.
    Outcome {
        /// applied, already_counted or failed.
        outcome: String,
        /// Why it failed.
        error_message: Option<String>,
        /// When it is tried again by itself, UTC.
        next_retry_at: Option<String>,
    },
}

/// Notes which try of an error comes next. Called before it is sent.
///
/// # Errors
/// [`DlqError::NotFound`], or of the warehouse.
pub fn before_sending(dlq: &Dlq, error_id: &str) -> Result<Sending, DlqError> {
    let missing = || DlqError::no_error(error_id);
    if !adpipe_runtime::ids::is_id(error_id) {
        return Err(missing());
    }
    let table = query_table(dlq.warehouse(), TRIED, &[error_id.into()])?;
    let row = table.first().ok_or_else(missing)?;
    let (status, tried) = (status_of(&row)?, row.get("retry_count")?);
    let attempt = match status {
        // It is under way already.
        Status::Retrying => tried,
        _ => tried + 1,
    };
    Ok(Sending { error_id: error_id.to_owned(), attempt })
}

/// What came of it so far.
///
/// # Errors
/// [`DlqError::NotFound`], or of the warehouse.
pub fn heard_of(dlq: &Dlq, sending: &Sending) -> Result<Heard, DlqError> {
    let params = [sending.error_id.as_str().into(), Value::Int(sending.attempt)];
    let table = query_table(dlq.warehouse(), HEARD_OF, &params)?;
    let row = table.first().ok_or_else(|| DlqError::no_error(&sending.error_id))?;
    let (status, next_retry_at) = (status_of(&row)?, row.get("next_retry_at")?);
    Ok(match (row.get("outcome")?, status) {
        (Some(outcome), _) => {
            Heard::Outcome { outcome, error_message: row.get("error_message")?, next_retry_at }
        }
        (None, Status::Pending | Status::Retrying) => Heard::Nothing,
        (None, closed) => Heard::NotSent(closed),
    })
}
