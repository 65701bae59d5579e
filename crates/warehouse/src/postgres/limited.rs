//! Statements of a person: ended when they take too long, give rows that are too large, or are not
//! wanted any more. What the server itself may use is for its own settings (`work_mem`).

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use postgres::{Client, Error};

use super::connect::cancel;
use super::query::{explain, prepare, read};
use super::settings::PostgresSettings;
use crate::limits::Stopwatch;
use crate::{OnRow, QueryLimits, Row, Value, WarehouseError};

/// Rows fetched at first, before their size is known, and at most.
const FIRST_ROWS: i32 = 16;
const MOST_ROWS: i32 = 2_000;
/// Bytes fetched at once, by the largest row so far.
const FETCH_BYTES: u64 = 4 << 20;

/// How often the watcher looks whether the statement must end.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Runs one reading statement on a connection that is used for nothing else.
pub(super) fn run(
    settings: &PostgresSettings,
    client: &mut Client,
    sql: &str,
    limits: &QueryLimits,
    on_row: &mut OnRow<'_>,
) -> Result<Vec<String>, WarehouseError> {
    let watch = Stopwatch::start(limits);
    // The server's own limit is for statements of adpipe. Ours also holds over several fetches.
    client
        .batch_execute("set statement_timeout = 0")
        .map_err(|error| explain(settings.location(), &error))?;
    let token = client.cancel_token();
    let (ended, end) = channel::<()>();
    std::thread::scope(|scope| {
        let watched = watch.clone();
        scope.spawn(move || {
            while end.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                if watched.verdict().is_err() {
                    cancel(settings, &token);
                }
            }
        });
        let result = fetch(settings.location(), client, sql, limits, &watch, on_row);
        drop(ended);
        match (result, watch.verdict()) {
            // The server's words about it say less.
            (Err(WarehouseError::Statement(_)), Err(stopped)) => Err(stopped),
            (result, _) => result,
        }
    })
}

fn fetch(
    location: &str,
    client: &mut Client,
    sql: &str,
    limits: &QueryLimits,
    watch: &Stopwatch,
    on_row: &mut OnRow<'_>,
) -> Result<Vec<String>, WarehouseError> {
    let fail = |error: Error| explain(location, &error);
    let mut transaction = client.build_transaction().read_only(true).start().map_err(fail)?;
    let (statement, columns) = prepare(location, &mut transaction, sql, &[])?;
    let portal = transaction.bind(&statement, &[]).map_err(fail)?;
    let mut values = Vec::with_capacity(columns.len());
    let (mut wanted, mut largest) = (FIRST_ROWS, 1);
    loop {
        let rows = transaction.query_portal(&portal, wanted).map_err(fail)?;
        for row in &rows {
            read(row, &mut values).map_err(fail)?;
            let bytes = values.iter().map(value_bytes).sum::<u64>();
            if limits.row_bytes().is_some_and(|most| bytes > most) {
                return Err(limits.too_large("one row is larger than a quarter of the limit"));
            }
            largest = largest.max(bytes);
            let goes_on = watch.pause(|| on_row(Row::new(&columns, &values)));
            watch.verdict()?;
            if !goes_on {
                return Ok(columns);
            }
        }
        if rows.len() < wanted as usize {
            return Ok(columns);
        }
        wanted = i32::try_from(FETCH_BYTES / largest).unwrap_or(MOST_ROWS).clamp(1, MOST_ROWS);
    }
}

fn value_bytes(value: &Value) -> u64 {
    match value {
        Value::Text(text) => text.len() as u64,
        Value::Blob(bytes) => bytes.len() as u64,
        Value::Null | Value::Int(_) | Value::Real(_) => 8,
    }
}
