//! One error as stored in its table, without its payload.

use adpipe_warehouse::{Row, Transaction, Value, WarehouseError};

use adpipe_sql::section;

use crate::error::DlqError;
use crate::status::Status;
use crate::sums::state_sum;

const ROWS_SQL: &str = include_str!("../sql/rows.sql");
const STATE: &str = section(ROWS_SQL, "state");
const SEAL_STATE: &str = section(ROWS_SQL, "seal_state");

/// Where the columns begin in [`STATE`] that the sum of the state covers, in their order.
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
        table.first().map(|row| RowState::read(&row)).transpose()
    }

    fn read(row: &Row<'_>) -> Result<RowState, DlqError> {
        let (fingerprint, is_edited) = (row.get("fingerprint")?, row.get("is_edited")?);
        let (sum, state) = (row.get::<&Value>("state_sum")?, &row.values()[FIRST_OF_STATE..]);
        // What is decided by a damaged state would be sealed with what comes of it.
        if *sum != Value::Null && *sum != state_sum(state) {
            let error_id: &Value = row.get("error_id")?;
            let reason = format!("the state of error {error_id} is not as it was written");
            return Err(WarehouseError::damaged("errors.dlq_errors", reason).into());
        }
        Ok(RowState {
            status: status_of(row)?,
            status_before: row.parse_optional("status_before", STATUS, named)?,
            fingerprint,
            retry_count: row.get("retry_count")?,
            max_retries: row.get("max_retries")?,
            is_edited,
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
    for row in changed.iter() {
        let error_id: &Value = row.get("error_id")?;
        transaction.execute(SEAL_STATE, &[error_id.clone(), state_sum(row.values())])?;
    }
    Ok(changed.len() as u64)
}

const STATUS: &str = "the status of an error";

/// The status of a row.
pub(crate) fn status_of(row: &Row<'_>) -> Result<Status, WarehouseError> {
    row.parse("status", STATUS, named)
}

fn named(name: &str) -> Option<Status> {
    name.parse().ok()
}
