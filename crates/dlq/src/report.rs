//! What people look at: groups, lists, one error with its whole story, the backlog over time.

use std::time::Duration;

use adpipe_event::Millis;
use adpipe_log::Headers;
use adpipe_sql::section;
use adpipe_warehouse::{FromRow, Row, Value, WarehouseError, query_as, query_table};
use serde::Serialize;

use crate::Dlq;
use crate::error::DlqError;
use crate::headers::{HEADERS, headers_from_json};
use crate::search::{Direction, Filter, walk};
use crate::status::Status;

const REPORT_SQL: &str = include_str!("../sql/report.sql");
const GROUPS: &str = section(REPORT_SQL, "groups");
const GROUP_HOURS: &str = section(REPORT_SQL, "group_hours");
const ERRORS: &str = section(REPORT_SQL, "errors");
const PAYLOADS: &str = section(REPORT_SQL, "payloads");
const TRIES: &str = section(REPORT_SQL, "tries");
const ACTIONS: &str = section(REPORT_SQL, "actions");
const BACKLOG: &str = section(REPORT_SQL, "backlog");
const RESOLVED_SINCE: &str = section(REPORT_SQL, "resolved_since");

/// How long a list may look for its page.
const LONGEST_LISTING: Duration = Duration::from_millis(150);

/// Errors asked for in one statement: a round trip to a server for each would take most of the time.
const LINES_AT_ONCE: usize = 50;

/// Hours of a sparkline.
pub const SPARK_HOURS: usize = 24;

/// One cause.
#[derive(Debug, Clone, Serialize)]
pub struct Group {
    /// Names the group: a digest of what its errors have in common.
    pub fingerprint: String,
    /// Type of its errors.
    pub error_type: String,
    /// The role that found them.
    pub stage: String,
    /// The field to blame.
    pub field: Option<String>,
    /// The message, values masked.
    pub message: String,
    /// The message of one of them.
    pub sample_message: String,
    /// One of them.
    pub sample_id: String,
    /// First failure, UTC.
    pub first_seen_at: String,
    /// Newest failure, UTC.
    pub last_seen_at: String,
    /// Errors by status, in the order of [`Status::ALL`].
    pub counts: [u64; 5],
}

impl Group {
    /// Errors that still need something.
    pub fn open(&self) -> u64 {
        Status::OPEN.iter().map(|status| self.counts[*status as usize]).sum()
    }
}

/// Every cause, that of the newest failure first.
///
/// # Errors
/// Failures of the warehouse.
pub fn groups(dlq: &Dlq) -> Result<Vec<Group>, DlqError> {
    Ok(query_as(dlq.warehouse(), GROUPS, &[])?)
}

impl FromRow for Group {
    fn from_row(row: &Row<'_>) -> Result<Group, WarehouseError> {
        Ok(Group {
            fingerprint: row.get("fingerprint")?,
            error_type: row.get("error_type")?,
            stage: row.get("stage")?,
            field: row.get("field")?,
            message: row.get("message")?,
            sample_message: row.get("sample_message")?,
            sample_id: row.get("sample_id")?,
            first_seen_at: row.get("first_seen_at")?,
            last_seen_at: row.get("last_seen_at")?,
            counts: counts_by_status(row)?,
        })
    }
}

/// The columns named by the statuses.
fn counts_by_status(row: &Row<'_>) -> Result<[u64; 5], WarehouseError> {
    let mut counts = [0; 5];
    for (count, status) in counts.iter_mut().zip(Status::ALL) {
        *count = row.get(status.as_str())?;
    }
    Ok(counts)
}

/// Errors by status, in the order of [`Status::ALL`].
pub fn totals(groups: &[Group]) -> [u64; 5] {
    std::array::from_fn(|index| groups.iter().map(|group| group.counts[index]).sum())
}

/// New errors of each group by the hour, the present one last; groups without any are left out.
///
/// # Errors
/// Failures of the warehouse.
pub fn sparklines(dlq: &Dlq) -> Result<Vec<(String, [u64; SPARK_HOURS])>, DlqError> {
    let newest = Millis::now().floor_hour();
    let oldest = Millis(newest.0 - (SPARK_HOURS as i64 - 1) * 3_600_000);
    let table = query_table(dlq.warehouse(), GROUP_HOURS, &[oldest.to_string().into()])?;
    let mut sparklines: std::collections::BTreeMap<String, [u64; SPARK_HOURS]> = Default::default();
    for row in table.iter() {
        let fingerprint = row.get("fingerprint")?;
        let hour: Millis = row.get("hour")?;
        let index = ((hour.0 - oldest.0) / 3_600_000).clamp(0, SPARK_HOURS as i64 - 1) as usize;
        sparklines.entry(fingerprint).or_insert([0; SPARK_HOURS])[index] += row.get::<u64>("errors")?;
    }
    Ok(sparklines.into_iter().collect())
}

/// One error, in a line.
#[derive(Debug, Clone, Serialize)]
pub struct ErrorLine {
    /// Names the error; ids sort by time.
    pub error_id: String,
    /// Topic, or `file:…`, where the record lay.
    pub topic: String,
    /// Partition where it lay.
    pub partition: i64,
    /// Offset, or row, where it lay.
    pub offset: i64,
    /// The role that found it.
    pub stage: String,
    /// The name of an [`ErrorType`](adpipe_event::ErrorType).
    pub error_type: String,
    /// The field to blame.
    pub field: Option<String>,
    /// What was wrong, the last time.
    pub message: String,
    /// The group that it belongs to.
    pub fingerprint: String,
    /// As stored; see `Status`.
    pub status: String,
    /// Tries so far.
    pub retry_count: i64,
    /// Tries it may have.
    pub max_retries: i64,
    /// When it is tried next, UTC.
    pub next_retry_at: Option<String>,
    /// First failure, UTC.
    pub first_failed_at: String,
    /// Newest failure, UTC.
    pub last_failed_at: String,
    /// When it was closed, UTC.
    pub resolved_at: Option<String>,
    /// How: applied, already_counted, or the reason of the discard.
    pub resolution: Option<String>,
    /// Whether something else than what was received would be sent.
    pub is_edited: bool,
    /// Length of the payload as received.
    pub payload_bytes: i64,
    /// How what would be sent begins; anything that is not UTF-8 is replaced for display.
    pub preview: String,
    /// The bulk action that touched it last.
    pub job_id: Option<String>,
}

impl FromRow for ErrorLine {
    fn from_row(row: &Row<'_>) -> Result<ErrorLine, WarehouseError> {
        Ok(ErrorLine {
            error_id: row.get("error_id")?,
            topic: row.get("topic")?,
            partition: row.get("partition")?,
            offset: row.get("record_offset")?,
            stage: row.get("stage")?,
            error_type: row.get("error_type")?,
            field: row.get("field")?,
            message: row.get("error_message")?,
            fingerprint: row.get("fingerprint")?,
            status: row.get("status")?,
            retry_count: row.get("retry_count")?,
            max_retries: row.get("max_retries")?,
            next_retry_at: row.get("next_retry_at")?,
            first_failed_at: row.get("first_failed_at")?,
            last_failed_at: row.get("last_failed_at")?,
            resolved_at: row.get("resolved_at")?,
            resolution: row.get("resolution")?,
            is_edited: row.get("is_edited")?,
            payload_bytes: row.get("payload_bytes")?,
            // SQLite gives null for the beginning of an empty payload.
            preview: String::from_utf8_lossy(row.get::<Option<_>>("preview")?.unwrap_or_default())
                .into_owned(),
            job_id: row.get("job_id")?,
        })
    }
}

impl ErrorLine {
    /// About as many bytes as it takes in an answer.
    fn byte_size(&self) -> usize {
        const REST: usize = 512;
        let texts = [&self.topic, &self.message, &self.preview];
        let optional = [&self.field, &self.resolution].into_iter().flatten();
        // JSON writes a control character with six.
        let written = |text: &String| text.len() + 5 * text.bytes().filter(u8::is_ascii_control).count();
        REST + texts.into_iter().chain(optional).map(written).sum::<usize>()
    }
}

/// Some errors, the newest first; those that are gone are left out.
fn lines(dlq: &Dlq, ids: &[String]) -> Result<Vec<ErrorLine>, DlqError> {
    let mut lines = Vec::with_capacity(ids.len());
    for ids in ids.chunks(LINES_AT_ONCE) {
        let places: Vec<String> = (1..=ids.len()).map(|number| format!("${number}")).collect();
        let statement = format!("{ERRORS} ({}) order by error_id desc", places.join(", "));
        let params: Vec<Value> = ids.iter().map(|id| id.as_str().into()).collect();
        lines.extend(query_as::<ErrorLine>(dlq.warehouse(), &statement, &params)?);
    }
    Ok(lines)
}

/// A page of a list.
#[derive(Debug, Clone, Serialize)]
pub struct Page {
    /// The newest first.
    pub errors: Vec<ErrorLine>,
    /// Where the next page continues; none when this is the last.
    pub next: Option<String>,
    /// How many errors the filter meets, when that is known.
    pub total: Option<u64>,
}

/// Errors that a filter meets, the newest first, after the id `after`.
///
/// # Errors
/// Failures of the warehouse, and filters that are not valid.
pub fn list(dlq: &Dlq, filter: &Filter, after: Option<&str>, limit: usize) -> Result<Page, DlqError> {
    list_within(dlq, filter, after, limit, usize::MAX)
}

/// The same, of about `max_bytes` at most: a page of long errors holds fewer than `limit`, but one
/// at least.
///
/// # Errors
/// The same as [`list`].
pub fn list_within(
    dlq: &Dlq,
    filter: &Filter,
    after: Option<&str>,
    limit: usize,
    max_bytes: usize,
) -> Result<Page, DlqError> {
    let mut search = walk(dlq, filter, Direction::NewestFirst)?;
    if let Some(after) = after {
        if !adpipe_runtime::ids::is_id(after) {
            return Err(DlqError::Refused(format!("{after:?} is not a position in a list")));
        }
        search.skip_to(after);
    }
    let (mut ids, looked_up_to) = search.next_within(dlq, limit + 1, Some(LONGEST_LISTING))?;
    let has_more = ids.len() > limit;
    ids.truncate(limit);
    let mut errors = lines(dlq, &ids)?;
    let mut next = if has_more { ids.last().cloned() } else { looked_up_to };
    let mut bytes = 0;
    let fitting = errors.iter().take_while(|error| {
        let fits = bytes < max_bytes;
        bytes += error.byte_size();
        fits
    });
    let fitting = fitting.count();
    if fitting < errors.len() {
        errors.truncate(fitting);
        next = errors.last().map(|error| error.error_id.clone());
    }
    Ok(Page { errors, next, total: crate::search::count(dlq, filter)? })
}

/// One try.
#[derive(Debug, Clone, Serialize)]
pub struct Try {
    /// Which one, from 1.
    pub attempt: i64,
    /// When it was sent, UTC.
    pub started_at: String,
    /// When its outcome was known, UTC.
    pub finished_at: Option<String>,
    /// How long it had waited, ms.
    pub backoff_ms: i64,
    /// applied, already_counted or failed; nothing yet while it is under way.
    pub outcome: Option<String>,
    /// Why it failed.
    pub error_type: Option<String>,
    /// Why it failed.
    pub error_message: Option<String>,
    /// Who asked for it: `adpipe` for automatic ones.
    pub actor: String,
    /// The bulk action that it was part of.
    pub job_id: Option<String>,
}

/// Something that a person did.
#[derive(Debug, Clone, Serialize)]
pub struct Act {
    /// When, UTC.
    pub at: String,
    /// Whoever did it.
    pub actor: String,
    /// What was done to the error.
    pub action: String,
    /// The reason that was given.
    pub reason: Option<String>,
    /// The edit, as JSON Patch; of a long one the beginning.
    pub patch: Option<String>,
    /// The bulk action that it was part of.
    pub job_id: Option<String>,
}

/// An error with its whole story.
#[derive(Debug, Clone, Serialize)]
pub struct Story {
    /// The error as lists show it.
    pub error: ErrorLine,
    /// The record's key.
    #[serde(skip)]
    pub key: Vec<u8>,
    /// The payload as received.
    #[serde(skip)]
    pub raw_payload: Vec<u8>,
    /// The record's headers.
    #[serde(skip)]
    pub headers: Headers,
    /// The payload that is sent instead.
    #[serde(skip)]
    pub edited_payload: Option<Vec<u8>>,
    /// The headers that are sent instead.
    #[serde(skip)]
    pub edited_headers: Option<Headers>,
    /// Its attempts, the newest 500.
    pub tries: Vec<Try>,
    /// What people did, the newest 200 acts.
    pub acts: Vec<Act>,
}

/// Everything about one error.
///
/// # Errors
/// [`DlqError::NotFound`], or of the warehouse.
pub fn story(dlq: &Dlq, error_id: &str) -> Result<Story, DlqError> {
    let missing = || DlqError::no_error(error_id);
    if !adpipe_runtime::ids::is_id(error_id) {
        return Err(missing());
    }
    let id = [Value::from(error_id)];
    let error = lines(dlq, &[error_id.to_owned()])?.pop().ok_or_else(missing)?;
    let payloads = query_table(dlq.warehouse(), PAYLOADS, &id)?;
    let payloads = payloads.first().ok_or_else(missing)?;
    // The newest were asked for; they are shown in the order in which they were done.
    let mut tries: Vec<Try> = query_as(dlq.warehouse(), TRIES, &id)?;
    tries.reverse();
    let mut acts: Vec<Act> = query_as(dlq.warehouse(), ACTIONS, &id)?;
    acts.reverse();
    Ok(Story {
        error,
        key: payloads.get::<Option<_>>("record_key")?.unwrap_or_default(),
        raw_payload: payloads.get("raw_payload")?,
        headers: payloads.parse("headers", HEADERS, headers_from_json)?,
        edited_payload: payloads.get("edited_payload")?,
        edited_headers: payloads.parse_optional("edited_headers", HEADERS, headers_from_json)?,
        tries,
        acts,
    })
}

impl FromRow for Try {
    fn from_row(row: &Row<'_>) -> Result<Try, WarehouseError> {
        Ok(Try {
            attempt: row.get("attempt")?,
            started_at: row.get("started_at")?,
            finished_at: row.get("finished_at")?,
            backoff_ms: row.get("backoff_ms")?,
            outcome: row.get("outcome")?,
            error_type: row.get("error_type")?,
            error_message: row.get("error_message")?,
            actor: row.get("actor")?,
            job_id: row.get("job_id")?,
        })
    }
}

impl FromRow for Act {
    fn from_row(row: &Row<'_>) -> Result<Act, WarehouseError> {
        Ok(Act {
            at: row.get("at")?,
            actor: row.get("actor")?,
            action: row.get("action")?,
            reason: row.get("reason")?,
            patch: row.get("patch")?,
            job_id: row.get("job_id")?,
        })
    }
}

/// The errors of one minute, by status.
#[derive(Debug, Clone, Serialize)]
pub struct BacklogSample {
    /// UTC.
    pub minute: String,
    /// In the order of [`Status::ALL`].
    pub counts: [u64; 5],
    /// All that had ever come.
    pub arrived: u64,
}

/// The backlog since a time, minute by minute.
///
/// # Errors
/// Failures of the warehouse.
pub fn backlog(dlq: &Dlq, since: Millis) -> Result<Vec<BacklogSample>, DlqError> {
    Ok(query_as(dlq.warehouse(), BACKLOG, &[since.to_string().into()])?)
}

impl FromRow for BacklogSample {
    fn from_row(row: &Row<'_>) -> Result<BacklogSample, WarehouseError> {
        Ok(BacklogSample {
            minute: row.get("minute")?,
            counts: counts_by_status(row)?,
            arrived: row.get("arrived")?,
        })
    }
}

/// Errors that were resolved at or after a time.
///
/// # Errors
/// Failures of the warehouse.
pub fn resolved_since(dlq: &Dlq, since: Millis) -> Result<u64, DlqError> {
    let table = query_table(dlq.warehouse(), RESOLVED_SINCE, &[since.to_string().into()])?;
    Ok(table.one()?.get("errors")?)
}
