//! Edits of errors: what an edit would do, and doing it.
//!
//! The payload as received is never touched: an edit is kept next to it, and every one on record.

use adpipe_counting::micro_batch::Parsing;
use adpipe_event::{EventError, Millis, Rules};
use adpipe_sql::section;
use adpipe_warehouse::{FromRow, Row, Transaction, Value, WarehouseError, query_table};

use crate::actions::{Actor, Note, note, retry_one};
use crate::content::{as_json, replaced};
use crate::error::DlqError;
use crate::groups::GroupChanges;
use crate::headers::{HEADERS, headers_from_json, headers_to_json};
use crate::patch::Patch;
use crate::row::RowState;
use crate::status::Status;
use crate::sums::edit_sum;
use crate::{Dlq, DlqSettings};

pub use crate::content::Content;
pub use crate::dry_run::{DryRun, Sample, dry_run, dry_run_of};

const ROWS_SQL: &str = include_str!("../sql/rows.sql");
const EDIT: &str = section(ROWS_SQL, "edit");
pub(crate) const CURRENT: &str = section(ROWS_SQL, "current");

/// What an edit does to one error.
#[derive(Debug, Clone)]
pub enum Edited {
    /// The event would be counted.
    Valid(Content),
    /// It would fail again.
    StillInvalid(Content, EventError),
    /// The edit does not fit this payload.
    DoesNotFit(String),
    /// Nothing would change.
    Unchanged,
    /// The payload is again what was received.
    Restored,
}

/// What an edit does to this content. A CSV row becomes a JSON object first.
pub fn edit_content(settings: &DlqSettings, content: &Content, patch: &Patch) -> Edited {
    let json = match as_json(content, &settings.fields) {
        Ok(json) => json,
        Err(reason) => return Edited::DoesNotFit(reason),
    };
    match patch.apply(&json.payload, &settings.fields) {
        Err(reason) => Edited::DoesNotFit(reason),
        Ok(payload) if payload == content.payload => Edited::Unchanged,
        Ok(payload) => judge(settings, Content { payload, headers: json.headers }),
    }
}

/// What an edit of any kind would do to this content. Nothing is changed.
pub fn try_edit(settings: &DlqSettings, content: &Content, edit: &Edit) -> Edited {
    match edit {
        Edit::Patch(patch) => edit_content(settings, content, patch),
        Edit::Payload(payload) if *payload == content.payload => Edited::Unchanged,
        Edit::Payload(payload) => judge(settings, replaced(content, payload, None)),
        Edit::Row { payload, columns } => match replaced(content, payload, Some(columns)) {
            same if same == *content => Edited::Unchanged,
            row => judge(settings, row),
        },
        Edit::Undo => Edited::Restored,
    }
}

fn judge(settings: &DlqSettings, content: Content) -> Edited {
    match check(settings, &content) {
        Ok(()) => Edited::Valid(content),
        Err(error) => Edited::StillInvalid(content, error),
    }
}

/// Whether the event would be counted now, by the stream processor's own rules.
///
/// # Errors
/// The rule that it breaks.
pub fn check(settings: &DlqSettings, content: &Content) -> Result<(), EventError> {
    let max_future_ms = settings.max_future.as_millis() as i64;
    let rules = Rules { max_future_ms, fields: settings.fields.clone() };
    Parsing::new(rules).parse_one(&content.payload, &content.headers, Millis::now()).map(drop)
}

/// What would be sent for an error; nothing when there is no such error.
///
/// # Errors
/// Failures of the warehouse.
pub fn content(dlq: &Dlq, error_id: &str) -> Result<Option<Content>, DlqError> {
    if !adpipe_runtime::ids::is_id(error_id) {
        return Ok(None);
    }
    let table = query_table(dlq.warehouse(), CURRENT, &[error_id.into()])?;
    Ok(table.read_first()?)
}

/// A row of [`CURRENT`].
impl FromRow for Content {
    fn from_row(row: &Row<'_>) -> Result<Content, WarehouseError> {
        Ok(Content {
            payload: row.get("payload")?,
            headers: row.parse("headers", HEADERS, headers_from_json)?,
        })
    }
}

/// How an error is edited.
#[derive(Debug, Clone)]
pub enum Edit {
    /// By an edit that could be applied to others as well.
    Patch(Patch),
    /// The whole payload is replaced: by a JSON object, or by a row in the format of the record.
    Payload(Vec<u8>),
    /// The whole payload is replaced by a CSV row under this header line.
    Row {
        /// The row as CSV, without the line's end.
        payload: Vec<u8>,
        /// Its header line.
        columns: Vec<u8>,
    },
    /// The payload as received is what counts again.
    Undo,
}

/// Edits one error and, when asked, sends it again at once, whether or not its event would be
/// counted.
///
/// # Errors
/// [`DlqError::Refused`] when the edit does not fit, changes nothing, or the error is not pending
/// or exhausted; [`DlqError::NotFound`]; or of the warehouse.
pub fn edit(
    dlq: &Dlq,
    error_id: &str,
    edit: &Edit,
    send_again: bool,
    actor: Actor<'_>,
) -> Result<(), DlqError> {
    match edit_wanted(dlq, error_id, edit, Wanted::AnyChange, send_again, actor)? {
        Edited::Valid(_) | Edited::StillInvalid(..) | Edited::Restored => Ok(()),
        Edited::DoesNotFit(reason) => Err(DlqError::Refused(reason)),
        Edited::Unchanged => Err(DlqError::Refused("this edit changes nothing".to_owned())),
    }
}

/// Edits one error and sends it again, if its event would then be counted; otherwise nothing is
/// changed, and the reason is given.
///
/// # Errors
/// [`DlqError::NotFound`], or of the warehouse.
pub fn edit_if_valid(dlq: &Dlq, error_id: &str, edit: &Edit, actor: Actor<'_>) -> Result<Edited, DlqError> {
    edit_wanted(dlq, error_id, edit, Wanted::OnlyValid, true, actor)
}

/// Edits one error and sends it again, whatever its event would come to.
pub(crate) fn edit_and_send(
    dlq: &Dlq,
    error_id: &str,
    edit: &Edit,
    actor: Actor<'_>,
) -> Result<Edited, DlqError> {
    edit_wanted(dlq, error_id, edit, Wanted::AnyChange, true, actor)
}

fn edit_wanted(
    dlq: &Dlq,
    error_id: &str,
    edit: &Edit,
    wanted: Wanted,
    send_again: bool,
    actor: Actor<'_>,
) -> Result<Edited, DlqError> {
    if !adpipe_runtime::ids::is_id(error_id) {
        return Err(DlqError::NotFound(format!("{error_id:?} is not the id of an error")));
    }
    dlq.transact(|transaction| {
        let mut changes = GroupChanges::default();
        let edited = edit_one(dlq, transaction, error_id, edit, wanted, actor)?;
        let is_saved = match &edited {
            Edited::Valid(_) | Edited::Restored => true,
            Edited::StillInvalid(..) => wanted == Wanted::AnyChange,
            Edited::DoesNotFit(_) | Edited::Unchanged => false,
        };
        if is_saved && send_again {
            retry_one(transaction, error_id, actor, &mut changes)?;
        }
        changes.apply(transaction)?;
        Ok(edited)
    })
}

/// Which edits are worth keeping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Those that change something.
    AnyChange,
    /// Those after which the event would be counted.
    OnlyValid,
}

/// Edits one error within a transaction, if it is pending or exhausted and the edit is wanted.
pub(crate) fn edit_one(
    dlq: &Dlq,
    transaction: &mut dyn Transaction,
    error_id: &str,
    edit: &Edit,
    wanted: Wanted,
    actor: Actor<'_>,
) -> Result<Edited, DlqError> {
    let Some(state) = RowState::of(transaction, error_id)? else {
        return Err(DlqError::no_error(error_id));
    };
    if !matches!(state.status, Status::Pending | Status::Exhausted) {
        return Ok(Edited::DoesNotFit(format!(
            "an error that is {} cannot be edited",
            state.status.as_str()
        )));
    }
    let table = transaction.query(CURRENT, &[error_id.into()])?;
    let Some(before) = table.read_first::<Content>()? else { return Ok(Edited::Unchanged) };
    let edited = match edit {
        Edit::Undo if state.is_edited => return restore(transaction, error_id, &state, actor),
        Edit::Undo => Edited::Unchanged,
        _ => try_edit(dlq.settings(), &before, edit),
    };
    let after = match &edited {
        Edited::Valid(after) => after,
        Edited::StillInvalid(after, _) if wanted == Wanted::AnyChange => after,
        _ => return Ok(edited),
    };
    let headers = headers_to_json(&after.headers);
    let (payload, stored_headers) = (Value::Blob(after.payload.clone()), Value::from(headers.as_str()));
    let sum = edit_sum(error_id, &payload, &stored_headers);
    let params = [error_id.into(), state.status.as_str().into(), payload, stored_headers, sum];
    if transaction.execute(EDIT, &params)? == 0 {
        return Ok(changed_meanwhile());
    }
    let patch = match edit {
        Edit::Patch(patch) => Some(patch.to_json()),
        _ => None,
    };
    let kept = Note {
        patch: patch.as_deref(),
        payload: Some(&after.payload),
        headers: Some(&headers),
        ..Note::default()
    };
    note(transaction, error_id, "edit", actor, kept)?;
    Ok(edited)
}

fn restore(
    transaction: &mut dyn Transaction,
    error_id: &str,
    state: &RowState,
    actor: Actor<'_>,
) -> Result<Edited, DlqError> {
    let sum = edit_sum(error_id, &Value::Null, &Value::Null);
    let params = [error_id.into(), state.status.as_str().into(), Value::Null, Value::Null, sum];
    if transaction.execute(EDIT, &params)? == 0 {
        return Ok(changed_meanwhile());
    }
    note(transaction, error_id, "undo_edit", actor, Note::default())?;
    Ok(Edited::Restored)
}

fn changed_meanwhile() -> Edited {
    Edited::DoesNotFit("someone else has just changed it".to_owned())
}
