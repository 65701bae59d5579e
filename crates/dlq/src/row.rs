//! One error as it stands in its table, without its payload.

use adpipe_warehouse::{Transaction, Value};

use adpipe_sql::section;

use crate::error::DlqError;
use crate::status::Status;

const ROWS_SQL: &str = include_str!("../sql/rows.sql");
const STATE: &str = section(ROWS_SQL, "state");

/// What decides about what may be done with an error.
#[derive(Debug, Clone)]
pub(crate) struct RowState {
    pub status: Status,
    pub status_before: Option<Status>,
    pub fingerprint: String,
    pub retry_count: u32,
    pub max_retries: u32,
    pub is_edited: bool,
}

impl RowState {
    /// Reads it; nothing when there is no such error.
    pub fn of(transaction: &mut dyn Transaction, error_id: &str) -> Result<Option<RowState>, DlqError> {
        let table = transaction.query(STATE, &[error_id.into()])?;
        table.rows.first().map(|row| RowState::read(row)).transpose()
    }

    fn read(row: &[Value]) -> Result<RowState, DlqError> {
        let number = |index: usize| row[index].as_i64().unwrap_or(0) as u32;
        Ok(RowState {
            status: status_of(&row[0])?,
            status_before: row[1].as_str().and_then(|name| name.parse().ok()),
            fingerprint: row[2].to_string(),
            retry_count: number(3),
            max_retries: number(4),
            is_edited: row[5].as_i64() == Some(1),
        })
    }
}

/// The status that a column holds.
pub(crate) fn status_of(value: &Value) -> Result<Status, DlqError> {
    value.as_str().unwrap_or_default().parse().map_err(DlqError::Refused)
}
