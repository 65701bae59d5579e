//! Runs a data test: a statement whose rows are failures.

use adpipe_warehouse::{Dialect, Value, WarehouseError};

use super::materialize::{Failure, make_table};
use crate::database::{Kind, Work};
use crate::history::{FailingRows, MAX_ROWS};
use crate::project::nodes::DataTest;
use crate::results::Status;

/// What a test found.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub status: Status,
    pub failures: i64,
    pub message: Option<String>,
    pub rows: FailingRows,
}

/// Runs it within the transaction, keeping its failing rows in a table where that is configured.
pub(crate) fn run(work: &mut Work<'_>, test: &DataTest, sql: &str) -> Result<Verdict, Failure> {
    let config = &test.config;
    let limited = match config.limit {
        Some(limit) => format!("select * from (\n{sql}\n) as limited limit {limit}"),
        None => sql.to_owned(),
    };
    let from = match (config.store_failures, config.store_as_view) {
        (false, _) => limited,
        (true, false) => {
            make_table(work, &test.relation, &limited, None)?;
            format!("select * from {}", test.relation)
        }
        (true, true) => {
            let drop = match work.kind(&test.relation)? {
                Some(Kind::Table) => "drop table if exists",
                _ => "drop view if exists",
            };
            work.script(&format!("{drop} {}; create view {} as {limited}", test.relation, test.relation))?;
            format!("select * from {}", test.relation)
        }
    };
    let (calc, warn_if, error_if) = (&config.fail_calc, &config.warn_if, &config.error_if);
    let found = work.query(
        &format!(
            "select {calc} as failures, {calc} {warn_if} as should_warn, {calc} {error_if} as should_error\n\
             from (\n{from}\n) dbt_internal_test"
        ),
        &[],
    )?;
    let row = found.one()?;
    // Whatever the project calculates: null, as the sum of nothing is, counts as 0.
    let number = |name| Ok::<f64, WarehouseError>(row.get::<Option<f64>>(name)?.unwrap_or(0.0));
    let failures = number("failures")? as i64;
    let (should_warn, should_error) = (number("should_warn")? != 0.0, number("should_error")? != 0.0);
    let counted = format!("{failures} result{}", if failures == 1 { "" } else { "s" });
    let (status, message) = match (config.warns_only, should_error, should_warn) {
        (false, true, _) => (Status::Fail, Some(format!("Got {counted}, configured to fail if {error_if}"))),
        (_, _, true) => (Status::Warn, Some(format!("Got {counted}, configured to warn if {warn_if}"))),
        _ => (Status::Pass, None),
    };
    let rows = match status {
        Status::Pass => FailingRows::default(),
        _ => failing_rows(work, &from)?,
    };
    let failures = if status == Status::Pass { 0 } else { failures };
    Ok(Verdict { status, failures, message, rows })
}

/// Each failing row as JSON, in the order of its columns.
pub(crate) fn failing_rows(work: &mut Work<'_>, from: &str) -> Result<FailingRows, WarehouseError> {
    let limit = MAX_ROWS + 1;
    let mut rows: Vec<String> = match work.dialect {
        Dialect::Postgres => {
            let sql = format!(
                "select row_to_json(failing)::text as row from (\n{from}\n) as failing limit {limit}"
            );
            work.query(&sql, &[])?.column("row")?
        }
        Dialect::Sqlite => {
            let found = work.query(&format!("select * from (\n{from}\n) as failing limit {limit}"), &[])?;
            found.iter().map(|row| json_row(row.columns(), row.values())).collect()
        }
    };
    let is_complete = rows.len() <= MAX_ROWS;
    rows.truncate(MAX_ROWS);
    Ok(FailingRows { rows, is_complete })
}

pub(crate) fn json_row(columns: &[String], row: &[Value]) -> String {
    let json = |value: &Value| match value {
        Value::Null => serde_json::Value::Null,
        Value::Int(number) => (*number).into(),
        Value::Real(number) => (*number).into(),
        Value::Text(text) => text.as_str().into(),
        Value::Blob(_) => value.to_string().into(),
    };
    let object: serde_json::Map<String, serde_json::Value> =
        columns.iter().cloned().zip(row.iter().map(json)).collect();
    serde_json::Value::Object(object).to_string()
}
