//! Statements of a person: ended when they take too long, need too much memory, or are not wanted any
//! more.

use std::path::Path;

use rusqlite::limits::Limit;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode};

use super::query::{only_reading, read_values};
use super::sqlite_failure;
use crate::limits::Stopwatch;
use crate::{OnRow, QueryLimits, Row, WarehouseError};

/// Steps of SQLite's machine between two looks at the clock: some hundred microseconds.
const STEPS_BETWEEN_LOOKS: i32 = 20_000;

/// Runs one reading statement on a connection that is used for nothing else.
pub(super) fn run(
    folder: &Path,
    mut connection: Connection,
    sql: &str,
    limits: &QueryLimits,
    on_row: &mut OnRow<'_>,
) -> Result<Vec<String>, WarehouseError> {
    let watch = Stopwatch::start(limits);
    let looks = watch.clone();
    let prepared = limit_memory(&connection, limits)
        .and_then(|()| {
            let must_end = move || looks.is_unwanted() || looks.is_over_time();
            connection.progress_handler(STEPS_BETWEEN_LOOKS, Some(must_end))
        })
        .and_then(|()| connection.authorizer(Some(only_reading)));
    prepared.map_err(|error| sqlite_failure(folder, &error))?;
    read(&connection, sql, limits, &watch, on_row).map_err(|trouble| match trouble {
        QueryFailure::Stopped(error) => error,
        QueryFailure::Sqlite(rusqlite::Error::MultipleStatement) => {
            WarehouseError::Statement("write one statement at a time; found several".to_owned())
        }
        QueryFailure::Sqlite(error) => match error.sqlite_error_code() {
            Some(ErrorCode::OperationInterrupted) => {
                watch.verdict().err().unwrap_or_else(QueryLimits::unwanted)
            }
            Some(ErrorCode::OutOfMemory) => limits.too_large("the statement needs too much"),
            Some(ErrorCode::TooBig) => limits.too_large("one value is larger than a quarter of the limit"),
            _ => sqlite_failure(folder, &error),
        },
    })
}

enum QueryFailure {
    Sqlite(rusqlite::Error),
    Stopped(WarehouseError),
}

impl From<rusqlite::Error> for QueryFailure {
    fn from(error: rusqlite::Error) -> QueryFailure {
        QueryFailure::Sqlite(error)
    }
}

fn limit_memory(connection: &Connection, limits: &QueryLimits) -> rusqlite::Result<()> {
    // What does not fit is sorted on disk.
    connection.pragma_update(None, "temp_store", "file")?;
    let (Some(memory), Some(value)) = (limits.memory, limits.row_bytes()) else { return Ok(()) };
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, i32::try_from(value).unwrap_or(i32::MAX))?;
    let memory = i64::try_from(memory).unwrap_or(i64::MAX);
    connection.pragma_update_and_check(None, "hard_heap_limit", memory, |_| Ok(()))
}

fn read(
    connection: &Connection,
    sql: &str,
    limits: &QueryLimits,
    watch: &Stopwatch,
    on_row: &mut OnRow<'_>,
) -> Result<Vec<String>, QueryFailure> {
    let mut statement = connection.prepare(sql)?;
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    if statement.parameter_count() > 0 {
        return Err(QueryFailure::Sqlite(rusqlite::Error::InvalidParameterCount(
            0,
            statement.parameter_count(),
        )));
    }
    let mut rows = statement.raw_query();
    let mut values = Vec::with_capacity(columns.len());
    while let Some(row) = rows.next()? {
        if limits.row_bytes().is_some_and(|most| row_bytes(row, columns.len()) > most) {
            let large = "one row is larger than a quarter of the limit";
            return Err(QueryFailure::Stopped(limits.too_large(large)));
        }
        read_values(row, columns.len(), &mut values)?;
        let goes_on = watch.pause(|| on_row(Row::new(&columns, &values)));
        watch.verdict().map_err(QueryFailure::Stopped)?;
        if !goes_on {
            break;
        }
    }
    Ok(columns)
}

/// Bytes of a row's texts and blobs, before they are copied.
fn row_bytes(row: &rusqlite::Row<'_>, columns: usize) -> u64 {
    let bytes = |index: usize| match row.get_ref(index) {
        Ok(ValueRef::Text(bytes) | ValueRef::Blob(bytes)) => bytes.len() as u64,
        _ => 0,
    };
    (0..columns).map(bytes).sum()
}
