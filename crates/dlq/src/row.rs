//! One error as it stands in its table, without its payload.

use adpipe_warehouse::{Transaction, Value, WarehouseError};

use adpipe_sql::section;

use crate::error::DlqError;
use crate::status::Status;
use crate::sums::state_sum;

const ROWS_SQL: &str = include_str!("../sql/rows.sql");
const STATE: &str = section(ROWS_SQL, "state");
const SEAL_STATE: &str = section(ROWS_SQL, "seal_state");

/// Columns of [`STATE`].
const STATE_SUM: usize = 2;
const FIRST_OF_STATE: usize = 3;

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
        let (sum, state) = (&row[STATE_SUM], &row[FIRST_OF_STATE..]);
        // What is decided by a damaged state would be sealed with what comes of it.
        if *sum != Value::Null && *sum != state_sum(state) {
            let reason = format!("the state of error {} is not as it was written", state[0]);
            return Err(WarehouseError::damaged("errors.dlq_errors", reason).into());
        }
        let number = |index: usize| state[index].as_i64().unwrap_or(0) as u32;
        Ok(RowState {
            status: status_of(&state[1])?,
            status_before: state[2].as_str().and_then(|name| name.parse().ok()),
            fingerprint: row[0].to_string(),
            retry_count: number(3),
            max_retries: number(4),
            is_edited: row[1].as_i64() == Some(1),
        })
    }
}

/// Runs a statement that changes the state of one error; false when it changed nothing.
pub(crate) fn change_state(
    transaction: &mut dyn Transaction,
    statement: &str,
    params: &[Value],
) -> Result<bool, DlqError> {
    Ok(change_states(transaction, statement, params)? > 0)
}

/// Runs a statement that changes the state of errors and returns it, and stores the sums of the new
/// states; gives how many errors it changed.
pub(crate) fn change_states(
    transaction: &mut dyn Transaction,
    statement: &str,
    params: &[Value],
) -> Result<u64, DlqError> {
    let changed = transaction.query(statement, params)?;
    for state in &changed.rows {
        transaction.execute(SEAL_STATE, &[state[0].clone(), state_sum(state)])?;
    }
    Ok(changed.rows.len() as u64)
}

/// The status that a column holds.
pub(crate) fn status_of(value: &Value) -> Result<Status, DlqError> {
    value.as_str().unwrap_or_default().parse().map_err(DlqError::Refused)
}
