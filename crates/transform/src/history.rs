//! `ops.data_tests` and the history of failures.

use std::collections::{BTreeMap, BTreeSet};

use adpipe_event::Millis;
use adpipe_sql::section;
use adpipe_warehouse::{FromRow, Row, Schema, Transaction, Value, Warehouse, WarehouseError, query_table};

use crate::error::Result;
use crate::project::Project;
use crate::project::names::md5_hex;
use crate::results::{NodeResult, RunResults, Status};

const SQL: &str = include_str!("../sql/history.sql");
const ADD_RESULT: &str = section(SQL, "add_result");
const OPEN_FAILURES: &str = section(SQL, "open_failures");
const SEEN_AGAIN: &str = section(SQL, "seen_again");
const SEEN_FIRST: &str = section(SQL, "seen_first");
const RESOLVED: &str = section(SQL, "resolved");
const FAILING_TESTS: &str = section(SQL, "failing_tests");
const RESOLVED_ALL: &str = section(SQL, "resolved_all");
const NEWEST: &str = section(SQL, "newest_results");

/// Failing rows of one test that the history takes from one run.
pub(crate) const MAX_ROWS: usize = 1_000;

/// Rows that a test found, as JSON.
#[derive(Debug, Clone, Default)]
pub(crate) struct FailingRows {
    pub rows: Vec<String>,
    /// False when there were more than are kept: then a missing row may still be failing.
    pub is_complete: bool,
}

/// Keeps what the tests of a run found, in one transaction.
///
/// # Errors
/// The warehouse's.
pub fn keep(warehouse: &dyn Warehouse, run: &RunResults) -> Result<()> {
    let tests: Vec<&NodeResult> =
        run.results.iter().filter(|result| result.kind == "test" || result.kind == "unit_test").collect();
    if tests.is_empty() {
        return Ok(());
    }
    let mut session = warehouse.session(Schema::Ops)?;
    let mut transaction = session.begin()?;
    for test in tests {
        add_result(transaction.as_mut(), run, test)?;
        add_failures(transaction.as_mut(), run, test)?;
    }
    resolve_of_lost_tests(transaction.as_mut(), run)?;
    transaction.commit()?;
    Ok(())
}

fn add_result(
    transaction: &mut dyn Transaction,
    run: &RunResults,
    test: &NodeResult,
) -> Result<(), WarehouseError> {
    let severity = if test.warns_only { "warn" } else { "error" };
    let params = [
        Value::from(run.run_id.as_str()),
        Value::from(test.id.as_str()),
        Value::from(test.name.as_str()),
        Value::from(test.kind.as_str()),
        Value::from(test.attached.clone()),
        Value::from(test.column.clone()),
        Value::from(severity),
        Value::from(test.status.name()),
        Value::Int(test.failures.unwrap_or(0)),
        Value::from(test.message.clone()),
        Value::from(run.engine),
        Value::from(test.started_at.as_str()),
        Value::Real(test.seconds),
    ];
    transaction.execute(ADD_RESULT, &params).map(drop)
}

fn add_failures(
    transaction: &mut dyn Transaction,
    run: &RunResults,
    test: &NodeResult,
) -> Result<(), WarehouseError> {
    let is_complete = match test.status {
        Status::Pass => true,
        Status::Fail | Status::Warn => test.rows.is_complete,
        // It has found out nothing.
        Status::Error | Status::Skipped | Status::Success => return Ok(()),
    };
    let found = transaction.query(OPEN_FAILURES, &[Value::from(test.id.as_str())])?;
    let mut open: BTreeMap<String, i64> = BTreeMap::new();
    for row in found.iter() {
        let failure_id = row.get("failure_id")?;
        open.insert(row.get("row_key")?, failure_id);
    }
    let now = Value::from(test.completed_at.as_str());
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for row in &test.rows.rows {
        let count = counts.entry(row).or_insert(0);
        *count += 1;
        let key = format!("{}-{count}", md5_hex(row));
        match open.remove(&key) {
            Some(id) => {
                let params = [Value::Int(id), Value::from(run.run_id.as_str()), now.clone()];
                transaction.execute(SEEN_AGAIN, &params)?;
            }
            None => {
                let params = [
                    Value::from(test.id.as_str()),
                    Value::from(key),
                    Value::from(row.as_str()),
                    Value::from(run.run_id.as_str()),
                    now.clone(),
                ];
                transaction.execute(SEEN_FIRST, &params)?;
            }
        }
    }
    if is_complete {
        for id in open.into_values() {
            transaction.execute(RESOLVED, &[Value::Int(id), now.clone()])?;
        }
    }
    Ok(())
}

/// A test that was removed will never run again, so its failures are closed.
fn resolve_of_lost_tests(transaction: &mut dyn Transaction, run: &RunResults) -> Result<(), WarehouseError> {
    let Some(tests) = &run.tests else { return Ok(()) };
    let found = transaction.query(FAILING_TESTS, &[])?;
    let now = Value::from(Millis::now().to_string());
    for id in found.column::<&str>("test_id")?.into_iter().filter(|id| tests.has_lost(id)) {
        transaction.execute(RESOLVED_ALL, &[Value::from(id), now.clone()])?;
    }
    Ok(())
}

/// The newest result of a test.
#[derive(Debug, Clone)]
pub(crate) struct Newest {
    pub status: Status,
    pub failures: i64,
    pub message: Option<String>,
    pub at: String,
}

/// What a test found when it was last run (not skipped).
#[derive(Debug, Clone)]
pub struct TestStatus {
    /// dbt's id: `test.adpipe.not_null_….1a2b3c4d5e`.
    pub id: String,
    /// As in the project.
    pub name: String,
    /// `Pass`, `Warn`, `Fail` or `Error`.
    pub status: Status,
    /// Rows that failed.
    pub failures: i64,
}

/// The newest status of each test that the project has; of each that ever ran, without a project.
///
/// # Errors
/// The warehouse's.
pub fn statuses(warehouse: &dyn Warehouse, project: Option<&Project>) -> Result<Vec<TestStatus>> {
    let known: Option<BTreeSet<&str>> =
        project.map(|project| project.nodes.iter().map(|node| node.id.as_str()).collect());
    let is_known = |id: &str| known.as_ref().is_none_or(|known| known.contains(id));
    let newest = newest(warehouse)?.into_iter().filter(|(id, _)| is_known(id));
    // A test's id is its name after two words and before a hash.
    let name = |id: &str| id.split('.').nth(2).unwrap_or(id).to_owned();
    let status = |(id, newest): (String, Newest)| TestStatus {
        name: name(&id),
        id,
        status: newest.status,
        failures: newest.failures,
    };
    Ok(newest.map(status).collect())
}

impl FromRow for Newest {
    fn from_row(row: &Row<'_>) -> std::result::Result<Newest, WarehouseError> {
        Ok(Newest {
            status: Status::of(row.get("status")?),
            failures: row.get("failures")?,
            message: row.get("message")?,
            at: row.get("started_at")?,
        })
    }
}

/// The newest result of each test, by id.
pub(crate) fn newest(warehouse: &dyn Warehouse) -> Result<BTreeMap<String, Newest>> {
    let found = query_table(warehouse, NEWEST, &[])?;
    let mut newest = BTreeMap::new();
    for row in found.iter() {
        newest.insert(row.get("test_id")?, Newest::from_row(&row)?);
    }
    Ok(newest)
}
