//! What a person may do with an error. Each action is recorded, with the person who did it.

use adpipe_event::Millis;
use adpipe_sql::section;
use adpipe_warehouse::{Transaction, Value, row_sum};

use crate::Dlq;
use crate::error::DlqError;
use crate::groups::GroupChanges;
use crate::row::{RowState, change_state};
use crate::status::Status;

const ROWS_SQL: &str = include_str!("../sql/rows.sql");
const SEND_LATER: &str = section(ROWS_SQL, "send_later");
const DISCARD: &str = section(ROWS_SQL, "discard");
const UNDO_DISCARD: &str = section(ROWS_SQL, "undo_discard");
const NOTE_ACTION: &str = section(ROWS_SQL, "note_action");

/// Longest reason or name that is kept.
const LONGEST_TEXT: usize = 500;

/// The person who acts, and within which bulk action.
#[derive(Debug, Clone, Copy)]
pub struct Actor<'a> {
    /// A name for the record, such as `cli:kim` or `console`.
    pub name: &'a str,
    /// The bulk action it is part of.
    pub job_id: Option<&'a str>,
}

/// Sends these errors again, now. Those that are not pending or exhausted are left alone; gives how
/// many there were.
///
/// # Errors
/// Failures of the warehouse.
pub fn retry(dlq: &Dlq, error_ids: &[String], actor: Actor<'_>) -> Result<u64, DlqError> {
    for_each(dlq, error_ids, |transaction, id, changes| retry_one(transaction, id, actor, changes))
}

/// Says that these errors do not count, and why.
///
/// # Errors
/// [`DlqError::Asked`] without a reason; or of the warehouse.
pub fn discard(dlq: &Dlq, error_ids: &[String], reason: &str, actor: Actor<'_>) -> Result<u64, DlqError> {
    let reason = checked_text("reason", reason)?;
    for_each(dlq, error_ids, |transaction, id, changes| discard_one(transaction, id, &reason, actor, changes))
}

/// Takes a discard back: the error is again what it was.
///
/// # Errors
/// Failures of the warehouse.
pub fn undo_discard(dlq: &Dlq, error_ids: &[String], actor: Actor<'_>) -> Result<u64, DlqError> {
    for_each(dlq, error_ids, |transaction, id, changes| undo_discard_one(transaction, id, actor, changes))
}

/// A name that may be recorded.
///
/// # Errors
/// [`DlqError::Asked`], with what is wrong.
pub fn checked_actor(name: &str) -> Result<String, DlqError> {
    checked_text("name", name)
}

/// A text that may be kept: not empty, not too long, without control characters.
pub(crate) fn checked_text(what: &str, text: &str) -> Result<String, DlqError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(DlqError::Asked(format!("a {what} is required")));
    }
    if text.chars().count() > LONGEST_TEXT || text.chars().any(char::is_control) {
        return Err(DlqError::Asked(format!(
            "the {what} must be one line of at most {LONGEST_TEXT} characters"
        )));
    }
    Ok(text.to_owned())
}

fn for_each(
    dlq: &Dlq,
    error_ids: &[String],
    mut act: impl FnMut(&mut dyn Transaction, &str, &mut GroupChanges) -> Result<bool, DlqError>,
) -> Result<u64, DlqError> {
    dlq.transact(|transaction| {
        let mut changes = GroupChanges::default();
        let mut changed = 0;
        for id in error_ids {
            if !adpipe_runtime::ids::is_id(id) {
                return Err(DlqError::NotFound(format!("{id:?} is not the id of an error")));
            }
            changed += u64::from(act(transaction, id, &mut changes)?);
        }
        changes.apply(transaction)?;
        Ok(changed)
    })
}

pub(crate) fn retry_one(
    transaction: &mut dyn Transaction,
    error_id: &str,
    actor: Actor<'_>,
    changes: &mut GroupChanges,
) -> Result<bool, DlqError> {
    let Some(state) = state_if_open(transaction, error_id)? else { return Ok(false) };
    // One more attempt than there were; an error that is retried automatically keeps the attempts it
    // had left.
    let max_retries = state.max_retries.max(state.retry_count + 1);
    let params = [
        error_id.into(),
        state.status.as_str().into(),
        Millis::now().to_string().into(),
        Value::Int(max_retries.into()),
        actor.name.into(),
        actor.job_id.into(),
    ];
    let act =
        Act { name: "retry", statement: SEND_LATER, params: &params, to: Status::Pending, reason: None };
    act.do_to(transaction, error_id, &state, actor, changes)
}

pub(crate) fn discard_one(
    transaction: &mut dyn Transaction,
    error_id: &str,
    reason: &str,
    actor: Actor<'_>,
    changes: &mut GroupChanges,
) -> Result<bool, DlqError> {
    let Some(state) = state_if_open(transaction, error_id)? else { return Ok(false) };
    let now = Millis::now().to_string();
    let params =
        [error_id.into(), state.status.as_str().into(), reason.into(), now.into(), actor.job_id.into()];
    let act = Act {
        name: "discard",
        statement: DISCARD,
        params: &params,
        to: Status::Discarded,
        reason: Some(reason),
    };
    act.do_to(transaction, error_id, &state, actor, changes)
}

pub(crate) fn undo_discard_one(
    transaction: &mut dyn Transaction,
    error_id: &str,
    actor: Actor<'_>,
    changes: &mut GroupChanges,
) -> Result<bool, DlqError> {
    let state = RowState::of(transaction, error_id)?.filter(|state| state.status == Status::Discarded);
    let Some(state) = state else { return Ok(false) };
    let to = state.status_before.unwrap_or(Status::Exhausted);
    let next_retry_at = (to == Status::Pending).then(|| Millis::now().to_string());
    let params = [error_id.into(), to.as_str().into(), next_retry_at.into(), actor.job_id.into()];
    let act = Act { name: "undo_discard", statement: UNDO_DISCARD, params: &params, to, reason: None };
    act.do_to(transaction, error_id, &state, actor, changes)
}

/// An error that may be acted on now.
fn state_if_open(transaction: &mut dyn Transaction, error_id: &str) -> Result<Option<RowState>, DlqError> {
    let state = RowState::of(transaction, error_id)?;
    Ok(state.filter(|state| matches!(state.status, Status::Pending | Status::Exhausted)))
}

/// A change of one error's status.
struct Act<'a> {
    /// As recorded.
    name: &'a str,
    /// Changes nothing when the error is not what it was any more.
    statement: &'a str,
    params: &'a [Value],
    to: Status,
    reason: Option<&'a str>,
}

impl Act<'_> {
    /// Does it and records it; false if someone else was faster.
    fn do_to(
        &self,
        transaction: &mut dyn Transaction,
        error_id: &str,
        state: &RowState,
        actor: Actor<'_>,
        changes: &mut GroupChanges,
    ) -> Result<bool, DlqError> {
        if !change_state(transaction, self.statement, self.params)? {
            return Ok(false);
        }
        changes.moved(&state.fingerprint, state.status, self.to);
        note(transaction, error_id, self.name, actor, Note { reason: self.reason, ..Note::default() })?;
        Ok(true)
    }
}

/// What an act leaves on record next to its name.
#[derive(Debug, Default)]
pub(crate) struct Note<'a> {
    pub reason: Option<&'a str>,
    pub patch: Option<&'a str>,
    pub payload: Option<&'a [u8]>,
    pub headers: Option<&'a str>,
}

pub(crate) fn note(
    transaction: &mut dyn Transaction,
    error_id: &str,
    action: &str,
    actor: Actor<'_>,
    note: Note<'_>,
) -> Result<(), DlqError> {
    let mut params: Vec<Value> = vec![
        Millis::now().to_string().into(),
        actor.name.into(),
        action.into(),
        error_id.into(),
        actor.job_id.into(),
        note.reason.into(),
        note.patch.into(),
        note.payload.map(<[u8]>::to_vec).into(),
        note.headers.into(),
    ];
    params.push(row_sum("errors.actions", &params));
    transaction.execute(NOTE_ACTION, &params)?;
    Ok(())
}
