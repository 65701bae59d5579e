//! Results, history and failing rows of the tests.

use std::collections::{BTreeMap, BTreeSet};

use adpipe_sql::section;
use adpipe_warehouse::{FromRow, Row, Value, Warehouse, WarehouseError, query_table};
use serde::Serialize;

use crate::answer::{rows_within, time};

const SQL: &str = include_str!("../../sql/quality.sql");
const TESTS: &str = section(SQL, "tests");
const FAILURE_COUNTS: &str = section(SQL, "failure_counts");
const OPEN_FAILURES: &str = section(SQL, "open_failures");
const RESOLVED_FAILURES: &str = section(SQL, "resolved_failures");

/// Runs of a test that are shown.
const RUNS: usize = 20;

/// A test that has not run for this long before the newest one is no longer in the project.
const GONE_MS: i64 = 30 * 86_400_000;

/// Rows that still fail, and as many that no longer do, which are shown of a test.
const ROWS: i64 = 100;

/// Bytes of rows that are shown of a test, open and resolved each; a row may be cut, too.
const ROW_BYTES: usize = 256 << 10;
const SHOWN_BYTES_OF_ROW: usize = 8 << 10;

/// A test with its newest result.
#[derive(Debug, Serialize)]
pub(super) struct Test {
    /// dbt's id.
    id: String,
    name: String,
    /// `test` or `unit_test`.
    kind: String,
    /// Id of the node it belongs to.
    attached: Option<String>,
    column: Option<String>,
    /// `error` or `warn`.
    severity: String,
    message: Option<String>,
    /// `builtin` or `dbt`.
    engine: String,
    /// Rows that still fail, of those that are kept.
    open_rows: i64,
    /// Rows that fail or did.
    all_rows: i64,
    /// The last runs, the newest last.
    runs: Vec<Run>,
}

/// A result.
#[derive(Debug, Serialize)]
struct Run {
    /// `pass`, `warn`, `fail`, `error` or `skipped`.
    status: String,
    failures: i64,
    /// Ms since the Unix epoch.
    at: Option<i64>,
    seconds: Option<f64>,
}

/// A test by its newest result: not what there is of other results, and of rows.
impl FromRow for Test {
    fn from_row(row: &Row<'_>) -> Result<Test, WarehouseError> {
        Ok(Test {
            id: row.get("test_id")?,
            name: row.get("name")?,
            kind: row.get("kind")?,
            attached: row.get("attached")?,
            column: row.get("column_name")?,
            severity: row.get("severity")?,
            message: row.get("message")?,
            engine: row.get("engine")?,
            open_rows: 0,
            all_rows: 0,
            runs: Vec::new(),
        })
    }
}

impl FromRow for Run {
    fn from_row(row: &Row<'_>) -> Result<Run, WarehouseError> {
        Ok(Run {
            status: row.get("status")?,
            failures: row.get("failures")?,
            at: time(row, "started_at")?,
            seconds: row.get("seconds")?,
        })
    }
}

impl Test {
    fn newest(&self) -> Option<i64> {
        self.runs.last().and_then(|run| run.at)
    }

    /// The worst first.
    fn rank(&self) -> usize {
        let status = self.runs.last().map(|run| run.status.as_str());
        let worst_first = ["error", "fail", "warn", "skipped"];
        worst_first.iter().position(|name| status == Some(name)).unwrap_or(worst_first.len())
    }
}

/// Every test that ran lately; those that need attention first, then by name.
///
/// A test that was removed from the project will never run again, so it is left out, as the monitor
/// leaves it out.
pub(super) fn all(
    warehouse: &dyn Warehouse,
    project: Option<&BTreeSet<String>>,
) -> Result<Vec<Test>, WarehouseError> {
    let mut counts: BTreeMap<String, (i64, i64)> = BTreeMap::new();
    for row in query_table(warehouse, FAILURE_COUNTS, &[])?.iter() {
        counts.insert(row.get("test_id")?, (row.get("failing")?, row.get("failed")?));
    }
    let mut tests: Vec<Test> = Vec::new();
    for row in query_table(warehouse, TESTS, &[Value::Int(RUNS as i64)])?.iter() {
        let id: &str = row.get("test_id")?;
        if tests.last().is_none_or(|last| last.id != id) {
            let (open_rows, all_rows) = counts.get(id).copied().unwrap_or_default();
            tests.push(Test { open_rows, all_rows, ..Test::from_row(&row)? });
        }
        // Runs of the same moment may be more than were asked for.
        if let Some(test) = tests.last_mut().filter(|test| test.runs.len() < RUNS) {
            test.runs.push(Run::from_row(&row)?);
        }
    }
    for test in &mut tests {
        test.runs.reverse();
    }
    let newest = tests.iter().filter_map(Test::newest).max();
    tests.retain(|test| project.is_none_or(|project| project.contains(&test.id)));
    tests.retain(|test| test.newest().zip(newest).is_none_or(|(at, newest)| newest - at < GONE_MS));
    tests.sort_by(|a, b| (a.rank(), &a.name, &a.id).cmp(&(b.rank(), &b.name, &b.id)));
    Ok(tests)
}

#[derive(Debug, Serialize)]
pub(super) struct Failures {
    rows: Vec<Failure>,
    /// False when there are more than are shown.
    is_complete: bool,
}

/// A row that fails, or did.
#[derive(Debug, Serialize)]
struct Failure {
    id: i64,
    /// As JSON.
    row: String,
    first_seen: Option<i64>,
    last_seen: Option<i64>,
    /// Null while it fails.
    resolved_at: Option<i64>,
}

/// Those that still fail first, each by the time when they were first seen, the newest first.
pub(super) fn failures(warehouse: &dyn Warehouse, test: &str) -> Result<Failures, WarehouseError> {
    let mut failures = Failures { rows: Vec::new(), is_complete: true };
    for sql in [OPEN_FAILURES, RESOLVED_FAILURES] {
        let params = [Value::from(test), Value::Int(ROWS + 1)];
        let (rows, is_complete) = rows_within(warehouse, sql, &params, ROW_BYTES)?;
        failures.is_complete &= is_complete && rows.len() as i64 <= ROWS;
        for row in rows.iter().take(ROWS as usize) {
            failures.rows.push(Failure::from_row(&row)?);
        }
    }
    Ok(failures)
}

impl FromRow for Failure {
    fn from_row(row: &Row<'_>) -> Result<Failure, WarehouseError> {
        Ok(Failure {
            id: row.get("failure_id")?,
            row: shortened(row.get("row_data")?),
            first_seen: time(row, "first_seen")?,
            last_seen: time(row, "last_seen")?,
            resolved_at: time(row, "resolved_at")?,
        })
    }
}

/// A row as it is shown: a long one is cut at a character, and says so.
fn shortened(mut row: String) -> String {
    if row.len() > SHOWN_BYTES_OF_ROW {
        row.truncate(row.floor_char_boundary(SHOWN_BYTES_OF_ROW));
        row.push('…');
    }
    row
}
