//! The sums of an error's row, as [`adpipe_warehouse::covered`] compares them. The parts of the row
//! change at different times, so each has a sum of its own.

use adpipe_warehouse::{Value, row_sum};

use crate::failure::Failure;

/// Of the record as received: the row's first eight columns, and when it failed first.
pub(crate) fn record_sum(record: &[Value; 8], first_failed_at: &Value) -> Value {
    let mut values = record.to_vec();
    values.push(first_failed_at.clone());
    row_sum("errors.dlq_errors.record_sum", &values)
}

/// Of what is wrong with it.
pub(crate) fn cause_sum(error_id: &str, failure: &Failure) -> Value {
    let values = [
        error_id.into(),
        failure.error_type.as_str().into(),
        failure.field.clone().into(),
        failure.message.as_str().into(),
        failure.fingerprint.as_str().into(),
    ];
    row_sum("errors.dlq_errors.cause_sum", &values)
}

/// Of what is sent instead; both null when it was not edited.
pub(crate) fn edit_sum(error_id: &str, payload: &Value, headers: &Value) -> Value {
    row_sum("errors.dlq_errors.edit_sum", &[error_id.into(), payload.clone(), headers.clone()])
}

/// Of its state: its id, and the twelve columns that statements on its state return.
pub(crate) fn state_sum(state: &[Value]) -> Value {
    row_sum("errors.dlq_errors.state_sum", state)
}

/// Of the outcome of an attempt: the values of `close_try`, or nulls while it is under way.
pub(crate) fn outcome_sum(error_id: &str, attempt: i64, outcome: [Value; 4]) -> Value {
    let mut values = vec![error_id.into(), Value::Int(attempt)];
    values.extend(outcome);
    row_sum("errors.retry_history.outcome_sum", &values)
}
