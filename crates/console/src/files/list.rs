//! The reports of `ops.ingest_files`, and the errors of one file.

use std::collections::BTreeMap;

use adpipe_event::ErrorType;
use adpipe_sql::section;
use adpipe_warehouse::{FromRow, Row, Value, Warehouse, WarehouseError, query_as, query_table};
use serde::Serialize;

use crate::answer::time;

const SQL: &str = include_str!("../../sql/files.sql");
const FILES: &str = section(SQL, "files");
const TOTALS: &str = section(SQL, "totals");
const FILE: &str = section(SQL, "file");
const ERRORS_OF_FILE: &str = section(SQL, "errors_of_file");

/// States of a file, as stored; those that need attention first.
pub(super) const STATES: [&str; 4] = ["damaged", "reading", "done", "replaced"];

/// Files per page: the archive is below them.
const PAGE: u32 = 25;

/// Errors of a file that are looked at; of a file with more, the rest is not distinguished.
const MOST_ERRORS: i64 = 100_000;

/// A page of files, and sums of all that fit.
#[derive(Debug, Serialize)]
pub(super) struct List {
    files: Vec<File>,
    /// From 1 on.
    page: u32,
    pages: u64,
    /// By state, of those whose text fits, whatever state was asked for.
    states: BTreeMap<&'static str, Totals>,
}

/// Sums over files. A file that was read again counts each time.
#[derive(Debug, Default, Serialize)]
struct Totals {
    files: u64,
    records: u64,
    valid: u64,
    clicks: u64,
    invalid: u64,
    duplicates: u64,
    float_ids: u64,
    bytes: u64,
}

/// One reading of a file. Times are ms since the Unix epoch.
#[derive(Debug, Serialize)]
struct File {
    path: String,
    /// Hash of the content when it was first seen.
    content: String,
    /// 2 and so on: read again by `--force`.
    reading: i64,
    /// Topic of its errors in the dead-letter queue.
    error_topic: String,
    bytes: u64,
    state: String,
    /// Why it is damaged; empty otherwise.
    message: String,
    records: u64,
    valid: u64,
    clicks: u64,
    invalid: u64,
    duplicates: u64,
    float_ids: u64,
    first_event: Option<i64>,
    last_event: Option<i64>,
    started_at: Option<i64>,
    updated_at: Option<i64>,
}

/// Those in `state` whose path or message has `words`; of every state when it is empty.
pub(super) fn list(
    warehouse: &dyn Warehouse,
    state: &str,
    words: &str,
    page: u32,
) -> Result<List, WarehouseError> {
    let pattern = pattern(words);
    let mut states: BTreeMap<&'static str, Totals> = BTreeMap::new();
    for row in query_table(warehouse, TOTALS, &[pattern.as_str().into()])?.iter() {
        let known = |name: &str| STATES.into_iter().find(|known| *known == name);
        let name = row.parse("state", "the state of a file", known)?;
        states.insert(name, Totals::from_row(&row)?);
    }
    let fitting = states.iter().filter(|(name, _)| state.is_empty() || **name == state);
    let pages = fitting.map(|(_, totals)| totals.files).sum::<u64>().div_ceil(u64::from(PAGE)).max(1);
    // A page that is no longer there is the last one.
    let page = u32::try_from(pages).map_or(page, |pages| page.min(pages));
    let offset = i64::from(page - 1) * i64::from(PAGE);
    let params = [state.into(), pattern.into(), Value::Int(i64::from(PAGE)), Value::Int(offset)];
    Ok(List { files: query_as(warehouse, FILES, &params)?, page, pages, states })
}

impl FromRow for Totals {
    fn from_row(row: &Row<'_>) -> Result<Totals, WarehouseError> {
        Ok(Totals {
            files: row.get("files")?,
            records: row.get("records")?,
            valid: row.get("valid")?,
            clicks: row.get("clicks")?,
            invalid: row.get("invalid")?,
            duplicates: row.get("duplicates")?,
            float_ids: row.get("float_ids")?,
            bytes: row.get("bytes")?,
        })
    }
}

impl FromRow for File {
    fn from_row(row: &Row<'_>) -> Result<File, WarehouseError> {
        let (path, content): (String, String) = (row.get("path")?, row.get("content")?);
        Ok(File {
            error_topic: error_topic(&path, &content),
            path,
            content,
            reading: row.get("reading")?,
            bytes: row.get("size")?,
            state: row.get("state")?,
            message: row.get("message")?,
            records: row.get("records")?,
            valid: row.get("valid")?,
            clicks: row.get("clicks")?,
            invalid: row.get("invalid")?,
            duplicates: row.get("duplicates")?,
            float_ids: row.get("float_ids")?,
            first_event: time(row, "first_event")?,
            last_event: time(row, "last_event")?,
            started_at: time(row, "started_at")?,
            updated_at: time(row, "updated_at")?,
        })
    }
}

/// As `adpipe etl` names it (docs/BATCH.md).
fn error_topic(path: &str, content: &str) -> String {
    format!("file:{path}@{content}")
}

/// A pattern of `like` for texts that have `words`, in small letters; empty for no words.
fn pattern(words: &str) -> String {
    if words.is_empty() {
        return String::new();
    }
    let mut pattern = String::from("%");
    for letter in words.to_lowercase().chars() {
        if matches!(letter, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    pattern
}

/// What the errors of one reading are, and what became of them.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// In the order of `types`; null when the account does not know the file.
    invalid_by_type: Option<[u64; ErrorType::ALL.len()]>,
    types: [&'static str; ErrorType::ALL.len()],
    /// Fields that were not known, and ignored.
    unknown_fields: u64,
    /// Errors of this content in the dead-letter queue, by type and status; of every reading.
    in_queue: Vec<InQueue>,
    /// False when the queue has more of them than were looked at.
    is_complete: bool,
}

#[derive(Debug, Serialize)]
struct InQueue {
    error_type: String,
    status: String,
    count: u64,
}

pub(super) fn report(
    warehouse: &dyn Warehouse,
    path: &str,
    content: &str,
    reading: i64,
) -> Result<Report, WarehouseError> {
    let account = query_table(warehouse, FILE, &[path.into(), content.into(), Value::Int(reading)])?;
    let account = account.first();
    let topic = error_topic(path, content);
    let in_queue: Vec<InQueue> =
        query_as(warehouse, ERRORS_OF_FILE, &[topic.into(), Value::Int(MOST_ERRORS + 1)])?;
    Ok(Report {
        invalid_by_type: account.as_ref().map(invalid_by_type).transpose()?,
        types: ErrorType::ALL.map(ErrorType::as_str),
        unknown_fields: account.map_or(Ok(0), |row| row.get("unknown_fields"))?,
        is_complete: in_queue.iter().map(|part| part.count).sum::<u64>() <= MOST_ERRORS as u64,
        in_queue,
    })
}

fn invalid_by_type(row: &Row<'_>) -> Result<[u64; ErrorType::ALL.len()], WarehouseError> {
    let mut counts = [0; ErrorType::ALL.len()];
    for (count, error_type) in counts.iter_mut().zip(ErrorType::ALL) {
        *count = row.get(error_type.as_str())?;
    }
    Ok(counts)
}

impl FromRow for InQueue {
    fn from_row(row: &Row<'_>) -> Result<InQueue, WarehouseError> {
        Ok(InQueue {
            error_type: row.get("error_type")?,
            status: row.get("status")?,
            count: row.get("errors")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_searched_for_as_they_stand() {
        assert_eq!(pattern(""), "");
        assert_eq!(pattern("Train"), "%train%");
        assert_eq!(pattern("50%_\\a"), "%50\\%\\_\\\\a%");
    }
}
