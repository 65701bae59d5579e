//! What people look at: groups, lists, one error with its whole story, the backlog over time.

use std::time::Duration;

use adpipe_event::Millis;
use adpipe_log::Headers;
use adpipe_sql::section;
use adpipe_warehouse::{Value, query_table};
use serde::Serialize;

use crate::Dlq;
use crate::error::DlqError;
use crate::headers::headers_from_json;
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
const LIST_PATIENCE: Duration = Duration::from_millis(150);

/// Errors asked for in one statement: a round trip to a server for each would take most of the time.
const LINES_AT_ONCE: usize = 50;

/// Hours of a sparkline.
pub const SPARK_HOURS: usize = 24;

/// One cause.
#[derive(Debug, Clone, Serialize)]
pub struct Group {
    /// Its id.
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
/// Of the warehouse.
pub fn groups(dlq: &Dlq) -> Result<Vec<Group>, DlqError> {
    let table = query_table(dlq.warehouse(), GROUPS, &[])?;
    let group = |row: &Vec<Value>| Group {
        fingerprint: row[0].to_string(),
        error_type: row[1].to_string(),
        stage: row[2].to_string(),
        field: row[3].as_str().map(str::to_owned),
        message: row[4].to_string(),
        sample_message: row[5].to_string(),
        sample_id: row[6].to_string(),
        first_seen_at: row[7].to_string(),
        last_seen_at: row[8].to_string(),
        counts: std::array::from_fn(|index| row[9 + index].as_i64().unwrap_or(0).max(0) as u64),
    };
    Ok(table.rows.iter().map(group).collect())
}

/// Errors by status, in the order of [`Status::ALL`].
pub fn totals(groups: &[Group]) -> [u64; 5] {
    std::array::from_fn(|index| groups.iter().map(|group| group.counts[index]).sum())
}

/// New errors of each group by the hour, the present one last; groups without any are left out.
///
/// # Errors
/// Of the warehouse.
pub fn sparklines(dlq: &Dlq) -> Result<Vec<(String, [u64; SPARK_HOURS])>, DlqError> {
    let newest = Millis::now().floor_hour();
    let oldest = Millis(newest.0 - (SPARK_HOURS as i64 - 1) * 3_600_000);
    let table = query_table(dlq.warehouse(), GROUP_HOURS, &[oldest.to_string().into()])?;
    let mut sparklines: std::collections::BTreeMap<String, [u64; SPARK_HOURS]> = Default::default();
    for row in &table.rows {
        let hour = row[1].as_str().and_then(Millis::parse_sql).unwrap_or(newest);
        let index = ((hour.0 - oldest.0) / 3_600_000).clamp(0, SPARK_HOURS as i64 - 1) as usize;
        let errors = row[2].as_i64().unwrap_or(0) as u64;
        sparklines.entry(row[0].to_string()).or_insert([0; SPARK_HOURS])[index] += errors;
    }
    Ok(sparklines.into_iter().collect())
}

/// One error, in a line.
#[derive(Debug, Clone, Serialize)]
pub struct ErrorLine {
    /// Its id.
    pub error_id: String,
    /// Topic, or `file:…`, where the record lay.
    pub topic: String,
    /// Partition where it lay.
    pub partition: i64,
    /// Offset, or row, where it lay.
    pub offset: i64,
    /// The role that found it.
    pub stage: String,
    /// Type.
    pub error_type: String,
    /// The field to blame.
    pub field: Option<String>,
    /// What was wrong, the last time.
    pub message: String,
    /// Its group.
    pub fingerprint: String,
    /// Where it stands.
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
    /// How what would be sent begins; what is no UTF-8 is replaced for the eye.
    pub preview: String,
    /// The bulk action that touched it last.
    pub job_id: Option<String>,
}

fn line(row: &[Value]) -> ErrorLine {
    let text = |index: usize| row[index].as_str().map(str::to_owned);
    let number = |index: usize| row[index].as_i64().unwrap_or(0);
    ErrorLine {
        error_id: row[0].to_string(),
        topic: row[1].to_string(),
        partition: number(2),
        offset: number(3),
        stage: row[4].to_string(),
        error_type: row[5].to_string(),
        field: text(6),
        message: row[7].to_string(),
        fingerprint: row[8].to_string(),
        status: row[9].to_string(),
        retry_count: number(10),
        max_retries: number(11),
        next_retry_at: text(12),
        first_failed_at: row[13].to_string(),
        last_failed_at: row[14].to_string(),
        resolved_at: text(15),
        resolution: text(16),
        is_edited: number(17) == 1,
        payload_bytes: number(18),
        preview: match &row[19] {
            Value::Blob(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            other => other.to_string(),
        },
        job_id: text(20),
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
        lines.extend(query_table(dlq.warehouse(), &statement, &params)?.rows.iter().map(|row| line(row)));
    }
    Ok(lines)
}

/// A page of a list.
#[derive(Debug, Clone, Serialize)]
pub struct Page {
    /// The newest first.
    pub errors: Vec<ErrorLine>,
    /// Where the next page goes on; none when this is the last.
    pub next: Option<String>,
    /// How many errors the filter meets, when that is known.
    pub total: Option<u64>,
}

/// Errors that a filter meets, the newest first, after the id `after`.
///
/// # Errors
/// Of the warehouse, or of a filter that makes no sense.
pub fn list(dlq: &Dlq, filter: &Filter, after: Option<&str>, limit: usize) -> Result<Page, DlqError> {
    list_within(dlq, filter, after, limit, usize::MAX)
}

/// The same, of about `max_bytes` at most: a page of long errors holds fewer than `limit`, but one
/// at least.
///
/// # Errors
/// As [`list`].
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
            return Err(DlqError::Refused(format!("{after:?} is no place in a list")));
        }
        search.skip_to(after);
    }
    let (mut ids, looked_up_to) = search.next_within(dlq, limit + 1, Some(LIST_PATIENCE))?;
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
    /// Who asked for it: `adpipe` for those by itself.
    pub actor: String,
    /// The bulk action that it was part of.
    pub job_id: Option<String>,
}

/// Something that a person did.
#[derive(Debug, Clone, Serialize)]
pub struct Act {
    /// When, UTC.
    pub at: String,
    /// Who.
    pub actor: String,
    /// What.
    pub action: String,
    /// Why.
    pub reason: Option<String>,
    /// The edit, as JSON Patch; of a long one the beginning.
    pub patch: Option<String>,
    /// The bulk action that it was part of.
    pub job_id: Option<String>,
}

/// An error with its whole story.
#[derive(Debug, Clone, Serialize)]
pub struct Story {
    /// The error.
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
    /// Its tries, the newest 500.
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
    let rows = |sql| query_table(dlq.warehouse(), sql, &id).map(|table| table.rows);
    let error = lines(dlq, &[error_id.to_owned()])?.pop().ok_or_else(missing)?;
    let payloads = rows(PAYLOADS)?.pop().ok_or_else(missing)?;
    let bytes = |value: &Value| match value {
        Value::Blob(bytes) => Some(bytes.clone()),
        _ => None,
    };
    let headers = |value: &Value| value.as_str().and_then(headers_from_json);
    Ok(Story {
        error,
        key: bytes(&payloads[0]).unwrap_or_default(),
        raw_payload: bytes(&payloads[1]).unwrap_or_default(),
        headers: headers(&payloads[2]).unwrap_or_default(),
        edited_payload: bytes(&payloads[3]),
        edited_headers: headers(&payloads[4]),
        tries: rows(TRIES)?.iter().rev().map(|row| one_try(row)).collect(),
        // The newest were asked for; they are told in the order in which they were done.
        acts: rows(ACTIONS)?.iter().rev().map(|row| act(row)).collect(),
    })
}

fn one_try(row: &[Value]) -> Try {
    let text = |index: usize| row[index].as_str().map(str::to_owned);
    Try {
        attempt: row[0].as_i64().unwrap_or(0),
        started_at: row[1].to_string(),
        finished_at: text(2),
        backoff_ms: row[3].as_i64().unwrap_or(0),
        outcome: text(4),
        error_type: text(5),
        error_message: text(6),
        actor: row[7].to_string(),
        job_id: text(8),
    }
}

fn act(row: &[Value]) -> Act {
    let text = |index: usize| row[index].as_str().map(str::to_owned);
    Act {
        at: row[0].to_string(),
        actor: row[1].to_string(),
        action: row[2].to_string(),
        reason: text(3),
        patch: text(4),
        job_id: text(5),
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
/// Of the warehouse.
pub fn backlog(dlq: &Dlq, since: Millis) -> Result<Vec<BacklogSample>, DlqError> {
    let table = query_table(dlq.warehouse(), BACKLOG, &[since.to_string().into()])?;
    let number = |value: &Value| value.as_i64().unwrap_or(0).max(0) as u64;
    let sample = |row: &Vec<Value>| BacklogSample {
        minute: row[0].to_string(),
        counts: std::array::from_fn(|index| number(&row[1 + index])),
        arrived: number(&row[6]),
    };
    Ok(table.rows.iter().map(sample).collect())
}

/// Errors that were resolved at or after a time.
///
/// # Errors
/// Of the warehouse.
pub fn resolved_since(dlq: &Dlq, since: Millis) -> Result<u64, DlqError> {
    let table = query_table(dlq.warehouse(), RESOLVED_SINCE, &[since.to_string().into()])?;
    Ok(table.rows.first().and_then(|row| row[0].as_i64()).unwrap_or(0) as u64)
}
