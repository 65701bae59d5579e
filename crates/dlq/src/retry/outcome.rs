//! The outcome of an attempt: applied or already counted (the stream processor stores it with the
//! effect), or failed again (reported through the error topic).

use adpipe_event::{ErrorType, Millis};
use adpipe_log::Topic;
use adpipe_sql::section;
use adpipe_warehouse::{PartitionOffset, Transaction, Value, query_table, row_sum};

use crate::Dlq;
use crate::consumer::{begin, claim};
use crate::error::DlqError;
use crate::failure::Failure;
use crate::groups::GroupChanges;
use crate::repair::{CURRENT, Content};
use crate::retry::backoff::{NextRetry, next_retry};
use crate::row::{RowState, change_state};
use crate::status::Status;
use crate::sums::{cause_sum, outcome_sum};
use crate::voids::settle_partition;

const OUTCOME_SQL: &str = include_str!("../../sql/outcome.sql");
const NOTE_REPEAT: &str = section(OUTCOME_SQL, "note_repeat");
const CLOSE_TRY: &str = section(OUTCOME_SQL, "close_try");
const FAIL: &str = section(OUTCOME_SQL, "fail");
const RESOLVE: &str = section(OUTCOME_SQL, "resolve");
const REPLAYS: &str = section(OUTCOME_SQL, "replays");

/// Name under which the place in `realtime.replays` is stored.
const REPLAYS_TABLE: &str = "realtime.replays";

/// Outcomes taken in one transaction.
const OUTCOMES_A_TURN: i64 = 1_000;

/// Whether a failure belongs to an attempt.
pub(crate) enum Repeat {
    /// It is: the error knows it now.
    Of,
    /// It is, and was known.
    Known,
    /// It is of a record that came in, or of an error that is not there any more.
    Unknown,
}

/// Notes that an attempt has failed.
pub(crate) fn failed_again(
    dlq: &Dlq,
    transaction: &mut dyn Transaction,
    failure: &Failure,
    changes: &mut GroupChanges,
) -> Result<Repeat, DlqError> {
    let Some((error_id, attempt)) = &failure.retry else { return Ok(Repeat::Unknown) };
    let Some(state) = RowState::of(transaction, error_id)? else { return Ok(Repeat::Unknown) };
    if !note_repeat(transaction, failure, error_id, *attempt)? {
        return Ok(Repeat::Known);
    }
    let error_type = failure.error_type.as_str();
    let closed = close_try(transaction, error_id, *attempt, "failed", Some((error_type, &failure.message)))?;
    // The same attempt may have been sent twice, if its sender died after sending: the first outcome
    // counts.
    if !closed || state.status != Status::Retrying {
        return Ok(Repeat::Known);
    }
    // An attempt that met an archive that cannot be read says nothing about the event: none is used up.
    let is_waiting = failure.error_type == ErrorType::Archive;
    let next_retry = if is_waiting || state.retry_count < state.max_retries {
        next_retry_of(dlq, transaction, error_id, failure, state.retry_count + 1)?
    } else {
        NextRetry::Never
    };
    let status = next_retry.status();
    let [next_retry_at, waits_for] = next_retry.columns();
    let params = [
        error_id.as_str().into(),
        status.as_str().into(),
        next_retry_at,
        error_type.into(),
        failure.field.clone().into(),
        failure.message.as_str().into(),
        failure.fingerprint.as_str().into(),
        failure.at.to_string().into(),
        waits_for,
        Value::Int(i64::from(is_waiting)),
        cause_sum(error_id, failure),
    ];
    if !change_state(transaction, FAIL, &params)? {
        return Ok(Repeat::Known);
    }
    changes.count(&state.fingerprint, Status::Retrying, -1);
    changes.arrived(failure, error_id);
    changes.count(&failure.fingerprint, status, 1);
    Ok(Repeat::Of)
}

/// Stores where a failure of a try lies; false when it was known.
fn note_repeat(
    transaction: &mut dyn Transaction,
    failure: &Failure,
    error_id: &str,
    attempt: u32,
) -> Result<bool, DlqError> {
    let mut position: Vec<Value> = vec![
        failure.topic.as_str().into(),
        Value::Int(failure.partition.into()),
        Value::Int(failure.offset as i64),
        error_id.into(),
        Value::Int(attempt.into()),
    ];
    position.push(row_sum("errors.repeated_failures", &position));
    Ok(transaction.execute(NOTE_REPEAT, &position)? > 0)
}

fn next_retry_of(
    dlq: &Dlq,
    transaction: &mut dyn Transaction,
    error_id: &str,
    failure: &Failure,
    attempt: u32,
) -> Result<NextRetry, DlqError> {
    let table = transaction.query(CURRENT, &[error_id.into()])?;
    let Some(current) = table.read_first::<Content>()? else { return Ok(NextRetry::Never) };
    Ok(next_retry(dlq.settings(), failure, &current.payload, &current.headers, attempt))
}

/// Closes an attempt; false when it is closed, or was never begun.
fn close_try(
    transaction: &mut dyn Transaction,
    error_id: &str,
    attempt: u32,
    outcome: &str,
    error: Option<(&str, &str)>,
) -> Result<bool, DlqError> {
    let outcome: [Value; 4] = [
        Millis::now().to_string().into(),
        outcome.into(),
        error.map(|(error_type, _)| error_type).into(),
        error.map(|(_, message)| message).into(),
    ];
    let mut params = vec![error_id.into(), Value::Int(attempt.into())];
    params.extend(outcome.clone());
    params.push(outcome_sum(error_id, attempt.into(), outcome));
    Ok(transaction.execute(CLOSE_TRY, &params)? > 0)
}

/// Reads the outcomes that the stream processor stored; gives their number.
///
/// # Errors
/// Failures of the warehouse; `Fenced` when another process takes them at the same time.
pub fn take(dlq: &Dlq) -> Result<u64, DlqError> {
    let mut taken = 0;
    for committed in dlq.warehouse().offsets(Topic::Retry.name())? {
        // A void failure is not the outcome of an attempt: the real outcome follows.
        settle_partition(dlq, Topic::Retry, committed)?;
        taken += take_from(dlq, committed)?;
    }
    Ok(taken)
}

/// How far the outcomes of a partition are taken over.
pub(crate) fn taken_up_to(dlq: &Dlq, partition: u32) -> Result<u64, DlqError> {
    begin(dlq, REPLAYS_TABLE, partition, 0)
}

fn take_from(dlq: &Dlq, committed: PartitionOffset) -> Result<u64, DlqError> {
    let partition = committed.partition;
    let first = taken_up_to(dlq, partition)?;
    if first >= committed.next_offset {
        return Ok(0);
    }
    // Every outcome before the stored offset is there: both are written in one transaction.
    let params = [
        Topic::Retry.name().into(),
        Value::Int(partition.into()),
        Value::Int(first as i64),
        Value::Int(committed.next_offset as i64),
        Value::Int(OUTCOMES_A_TURN),
    ];
    let told = query_table(dlq.warehouse(), REPLAYS, &params)?;
    let next = match told.iter().next_back() {
        Some(last) if told.len() as i64 == OUTCOMES_A_TURN => last.get::<u64>("record_offset")? + 1,
        _ => committed.next_offset,
    };
    let counted = dlq.transact(|transaction| {
        claim(transaction, REPLAYS_TABLE, partition, first, next)?;
        let mut changes = GroupChanges::default();
        let mut counted = [0u64; 2];
        for row in told.iter() {
            let (error_id, attempt, outcome): (&str, u32, &str) =
                (row.get("error_id")?, row.get("attempt")?, row.get("outcome")?);
            if adpipe_runtime::ids::is_id(error_id)
                && resolve(transaction, error_id, attempt, outcome, &mut changes)?
            {
                counted[usize::from(outcome != "applied")] += 1;
            }
        }
        changes.apply(transaction)?;
        Ok(counted)
    })?;
    for (outcome, count) in ["applied", "already_counted"].into_iter().zip(counted) {
        dlq.metrics().dlq_retries.with_label_values(&[outcome]).inc_by(count);
    }
    Ok(told.len() as u64)
}

fn resolve(
    transaction: &mut dyn Transaction,
    error_id: &str,
    attempt: u32,
    outcome: &str,
    changes: &mut GroupChanges,
) -> Result<bool, DlqError> {
    let closed = close_try(transaction, error_id, attempt, outcome, None)?;
    let Some(state) = RowState::of(transaction, error_id)? else { return Ok(false) };
    if !closed || state.status == Status::Resolved {
        return Ok(false);
    }
    let now = Millis::now().to_string();
    let params = [error_id.into(), state.status.as_str().into(), outcome.into(), now.into()];
    let is_resolved = change_state(transaction, RESOLVE, &params)?;
    if is_resolved {
        changes.moved(&state.fingerprint, state.status, Status::Resolved);
    }
    Ok(is_resolved)
}
