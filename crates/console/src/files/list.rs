//! The reports of `ops.ingest_files`, and the errors of one file.

use std::collections::BTreeMap;

use adpipe_event::ErrorType;
use adpipe_sql::section;
use adpipe_warehouse::{Value, Warehouse, WarehouseError, query_table};
use serde::Serialize;

use super::STATES;
use crate::answer::{count, text, time};

const SQL: &str = include_str!("../../sql/files.sql");
const FILES: &str = section(SQL, "files");
const TOTALS: &str = section(SQL, "totals");
const FILE: &str = section(SQL, "file");
const ERRORS_OF_FILE: &str = section(SQL, "errors_of_file");

/// Files of a page: the archive stands below them.
const PAGE: u32 = 25;

/// Errors of a file that are looked at; of a file with more, the rest is not told apart.
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
    for row in query_table(warehouse, TOTALS, &[pattern.as_str().into()])?.rows {
        let Some(name) = STATES.into_iter().find(|known| row[0].as_str() == Some(known)) else { continue };
        states.insert(
            name,
            Totals {
                files: count(&row[1]),
                records: count(&row[2]),
                valid: count(&row[3]),
                clicks: count(&row[4]),
                invalid: count(&row[5]),
                duplicates: count(&row[6]),
                float_ids: count(&row[7]),
                bytes: count(&row[8]),
            },
        );
    }
    let fitting = states.iter().filter(|(name, _)| state.is_empty() || **name == state);
    let pages = fitting.map(|(_, totals)| totals.files).sum::<u64>().div_ceil(u64::from(PAGE)).max(1);
    // A page that is no longer there is the last one.
    let page = u32::try_from(pages).map_or(page, |pages| page.min(pages));
    let offset = i64::from(page - 1) * i64::from(PAGE);
    let params = [state.into(), pattern.into(), Value::Int(i64::from(PAGE)), Value::Int(offset)];
    let rows = query_table(warehouse, FILES, &params)?.rows;
    Ok(List { files: rows.iter().map(|row| file(row)).collect(), page, pages, states })
}

fn file(row: &[Value]) -> File {
    let (path, content) = (text(&row[0]), text(&row[1]));
    File {
        error_topic: error_topic(&path, &content),
        path,
        content,
        reading: row[2].as_i64().unwrap_or(1),
        bytes: count(&row[3]),
        state: text(&row[4]),
        message: text(&row[5]),
        records: count(&row[6]),
        valid: count(&row[7]),
        clicks: count(&row[8]),
        invalid: count(&row[9]),
        duplicates: count(&row[10]),
        float_ids: count(&row[11]),
        first_event: time(&row[12]),
        last_event: time(&row[13]),
        started_at: time(&row[14]),
        updated_at: time(&row[15]),
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

/// Reads it.
pub(super) fn report(
    warehouse: &dyn Warehouse,
    path: &str,
    content: &str,
    reading: i64,
) -> Result<Report, WarehouseError> {
    let rows = query_table(warehouse, FILE, &[path.into(), content.into(), Value::Int(reading)])?.rows;
    let topic = error_topic(path, content);
    let found = query_table(warehouse, ERRORS_OF_FILE, &[topic.into(), Value::Int(MOST_ERRORS + 1)])?.rows;
    let in_queue: Vec<InQueue> = found
        .iter()
        .map(|row| InQueue { error_type: text(&row[0]), status: text(&row[1]), count: count(&row[2]) })
        .collect();
    Ok(Report {
        invalid_by_type: rows.first().map(|row| std::array::from_fn(|index| count(&row[index]))),
        types: ErrorType::ALL.map(ErrorType::as_str),
        unknown_fields: rows.first().map_or(0, |row| count(&row[ErrorType::ALL.len()])),
        is_complete: in_queue.iter().map(|part| part.count).sum::<u64>() <= MOST_ERRORS as u64,
        in_queue,
    })
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
