//! Edits of errors: what an edit would do, and doing it.
//!
//! The payload as received is never touched: an edit is kept beside it, and every one on record.

use std::collections::BTreeMap;

use adpipe_event::{EventError, Millis, Parser, Rules, csv_cells};
use adpipe_log::{Headers, header};
use adpipe_sql::section;
use adpipe_stream::micro_batch::Parsing;
use adpipe_warehouse::{Transaction, Value, query_table};
use serde::Serialize;

use crate::actions::{Actor, Note, note, retry_one};
use crate::error::DlqError;
use crate::fingerprint::mask;
use crate::groups::GroupChanges;
use crate::headers::{headers_from_json, headers_to_json};
use crate::patch::Patch;
use crate::row::RowState;
use crate::search::{Direction, Filter, walk};
use crate::status::Status;
use crate::{Dlq, DlqSettings};

const ROWS_SQL: &str = include_str!("../sql/rows.sql");
const EDIT: &str = section(ROWS_SQL, "edit");
pub(crate) const CURRENT: &str = section(ROWS_SQL, "current");

/// Errors that a dry run shows whole.
const SAMPLES: usize = 3;
/// Causes that a dry run names.
const MOST_REASONS: usize = 20;

/// A payload with what is needed to read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The payload.
    pub payload: Vec<u8>,
    /// The record's headers: format, columns, where it came from.
    pub headers: Headers,
}

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

/// What an edit would do to many errors.
#[derive(Debug, Clone, Default, Serialize)]
pub struct DryRun {
    /// Errors looked at.
    pub looked_at: u64,
    /// Whether that is all of them.
    pub is_complete: bool,
    /// Errors whose event would then be counted.
    pub valid: u64,
    /// Errors that would fail again.
    pub still_invalid: u64,
    /// Errors that the edit does not fit.
    pub does_not_fit: u64,
    /// Errors that would stay as they are.
    pub unchanged: u64,
    /// Why some would fail or do not fit, values masked, the commonest first.
    pub reasons: Vec<(String, u64)>,
    /// Some of them, before and after.
    pub samples: Vec<Sample>,
}

/// One error before and after.
#[derive(Debug, Clone, Serialize)]
pub struct Sample {
    /// Its id.
    pub error_id: String,
    /// Its payload now; what is no UTF-8 is replaced for the eye.
    pub before: String,
    /// Its payload after the edit.
    pub after: String,
    /// Why it would fail again, if it would.
    pub problem: Option<String>,
}

/// What an edit does to this content. A CSV row becomes a JSON object first.
pub fn edit_content(settings: &DlqSettings, content: &Content, patch: &Patch) -> Edited {
    let json = match as_json(content) {
        Ok(json) => json,
        Err(reason) => return Edited::DoesNotFit(reason),
    };
    match patch.apply(&json.payload) {
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
        Edit::Payload(payload) => judge(settings, replaced(content, payload)),
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
    let rules = Rules { max_future_ms: settings.max_future.as_millis() as i64 };
    Parsing::new(Parser::new(rules)).parse_one(&content.payload, &content.headers, Millis::now()).map(drop)
}

/// Fields that hold numbers; the cells of all others become text.
const NUMBERS: [&str; 4] = ["click", "banner_pos", "device_type", "device_conn_type"];

/// A CSV row as the JSON object that means the same.
fn as_json(content: &Content) -> Result<Content, String> {
    if content.headers.text(header::FORMAT) != Some("csv") {
        return Ok(content.clone());
    }
    let columns = content.headers.get(header::COLUMNS).unwrap_or_default();
    let names = csv_cells(columns).map_err(|error| format!("the header line: {error}"))?;
    let cells = csv_cells(&content.payload).map_err(|error| error.to_string())?;
    let mut members = Vec::new();
    for (name, cell) in names.iter().zip(&cells) {
        let name = name.trim_start_matches('\u{feff}').trim();
        // An empty cell says that the field is not there.
        if cell.is_empty() {
            continue;
        }
        let is_number = NUMBERS.contains(&name) || adpipe_event::INT_FIELDS.contains(&name);
        let value = match cell.trim().parse::<i64>() {
            Ok(number) if is_number => number.to_string(),
            _ => serde_json::Value::from(cell.as_str()).to_string(),
        };
        members.push(format!("{}:{value}", serde_json::Value::from(name)));
    }
    let of_format = [header::FORMAT, header::COLUMNS];
    let headers = content.headers.0.iter().filter(|(name, _)| !of_format.contains(&name.as_str()));
    Ok(Content {
        payload: format!("{{{}}}", members.join(",")).into_bytes(),
        headers: Headers(headers.cloned().collect()),
    })
}

/// What an edit would do to every error that the filter meets, or to the first `limit` of them.
/// Nothing is changed.
///
/// # Errors
/// Of the warehouse.
pub fn dry_run(dlq: &Dlq, filter: &Filter, patch: &Patch, limit: u64) -> Result<DryRun, DlqError> {
    let mut run = DryRun::default();
    let mut reasons: BTreeMap<String, u64> = BTreeMap::new();
    let filter = filter.only(&[Status::Pending, Status::Exhausted]);
    let mut walk = walk(dlq, &filter, Direction::OldestFirst)?;
    while run.looked_at < limit {
        let ids = walk.next(dlq, 500.min((limit - run.looked_at) as usize))?;
        if ids.is_empty() {
            run.is_complete = true;
            break;
        }
        for error_id in &ids {
            let Some(content) = content(dlq, error_id)? else { continue };
            run.looked_at += 1;
            let edited = edit_content(dlq.settings(), &content, patch);
            let (after, problem) = match &edited {
                Edited::Valid(after) => {
                    run.valid += 1;
                    (Some(after), None)
                }
                Edited::StillInvalid(after, error) => {
                    run.still_invalid += 1;
                    (Some(after), Some(error.message.clone()))
                }
                Edited::DoesNotFit(reason) => {
                    run.does_not_fit += 1;
                    (None, Some(reason.clone()))
                }
                Edited::Unchanged | Edited::Restored => {
                    run.unchanged += 1;
                    (None, None)
                }
            };
            if let Some(problem) = &problem {
                *reasons.entry(mask(problem)).or_default() += 1;
            }
            if run.samples.len() < SAMPLES
                && let Some(after) = after
            {
                let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).chars().take(4_000).collect();
                run.samples.push(Sample {
                    error_id: error_id.clone(),
                    before: shown(&content.payload),
                    after: shown(&after.payload),
                    problem,
                });
            }
        }
    }
    run.reasons = reasons.into_iter().collect();
    run.reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    run.reasons.truncate(MOST_REASONS);
    Ok(run)
}

/// What would be sent for an error; nothing when there is no such error.
///
/// # Errors
/// Of the warehouse.
pub fn content(dlq: &Dlq, error_id: &str) -> Result<Option<Content>, DlqError> {
    let table = query_table(dlq.warehouse(), CURRENT, &[error_id.into()])?;
    Ok(table.rows.first().map(|row| content_of(row)))
}

/// A row of [`CURRENT`].
pub(crate) fn content_of(row: &[Value]) -> Content {
    let payload = match &row[0] {
        Value::Blob(bytes) => bytes.clone(),
        _ => Vec::new(),
    };
    Content { payload, headers: row[1].as_str().and_then(headers_from_json).unwrap_or_default() }
}

/// How an error is edited.
#[derive(Debug, Clone)]
pub enum Edit {
    /// By an edit that could be applied to others as well.
    Patch(Patch),
    /// The whole payload is replaced by this JSON.
    Payload(Vec<u8>),
    /// The payload as received is what counts again.
    Undo,
}

/// Edits one error and, when asked, sends it again at once.
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
    if !crate::ids::is_id(error_id) {
        return Err(DlqError::NotFound(format!("{error_id:?} is no error's id")));
    }
    dlq.transact(|transaction| {
        let mut changes = GroupChanges::default();
        match edit_one(dlq, transaction, error_id, edit, Wanted::AnyChange, actor)? {
            Edited::Valid(_) | Edited::StillInvalid(..) | Edited::Restored => {}
            Edited::DoesNotFit(reason) => return Err(DlqError::Refused(reason)),
            Edited::Unchanged => return Err(DlqError::Refused("this edit changes nothing".to_owned())),
        }
        if send_again {
            retry_one(transaction, error_id, actor, &mut changes)?;
        }
        changes.apply(transaction)
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
        return Err(DlqError::NotFound(format!("there is no error {error_id}")));
    };
    if !matches!(state.status, Status::Pending | Status::Exhausted) {
        return Ok(Edited::DoesNotFit(format!(
            "an error that is {} cannot be edited",
            state.status.as_str()
        )));
    }
    let table = transaction.query(CURRENT, &[error_id.into()])?;
    let Some(before) = table.rows.first().map(|row| content_of(row)) else { return Ok(Edited::Unchanged) };
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
    let params = [
        error_id.into(),
        state.status.as_str().into(),
        Value::Blob(after.payload.clone()),
        Value::from(headers.as_str()),
    ];
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
    let params = [error_id.into(), state.status.as_str().into(), Value::Null, Value::Null];
    if transaction.execute(EDIT, &params)? == 0 {
        return Ok(changed_meanwhile());
    }
    note(transaction, error_id, "undo_edit", actor, Note::default())?;
    Ok(Edited::Restored)
}

fn changed_meanwhile() -> Edited {
    Edited::DoesNotFit("somebody else has just changed it".to_owned())
}

/// A payload written by hand is whole, and JSON.
fn replaced(before: &Content, payload: &[u8]) -> Content {
    let of_payload = [header::FORMAT, header::COLUMNS, header::TRUNCATED_FROM];
    let headers = before.headers.0.iter().filter(|(name, _)| !of_payload.contains(&name.as_str()));
    Content { payload: payload.to_vec(), headers: Headers(headers.cloned().collect()) }
}
