//! Runs a unit test: a model on given rows, whose result must be the expected one.
//!
//! The statements are dbt's: given rows are common table expressions, each value cast to the type
//! of its column in the database; expected values are cast to the types that the model gives.

use std::collections::BTreeMap;

use adpipe_warehouse::Value;

use super::data_test::{Verdict, json_row};
use super::materialize::{Failure, shape};
use crate::compile::given_name;
use crate::ctes::{Cte, inject};
use crate::database::{DatabaseColumn, Work};
use crate::history::FailingRows;
use crate::jinja::relation::{Relation, literal, quoted};
use crate::project::Project;
use crate::project::nodes::{Given, Rows, UnitTest};
use crate::results::Status;
use crate::yaml::{Data, Yaml};

/// Runs it within the transaction, which changes nothing.
pub(crate) fn run(
    work: &mut Work<'_>,
    project: &Project,
    name: &str,
    test: &UnitTest,
    sql: &str,
) -> Result<Verdict, Failure> {
    let ctes = all_given(work, project, test)?;
    let sql = inject(sql, &ctes);
    let columns = shape(work, name, &sql)?;
    let (names, expected) = expected_rows(test, &columns)?;
    let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
    let names = names.join(", ");
    let read = |work: &mut Work<'_>, sql: &str| -> Result<Vec<Vec<Value>>, Failure> {
        Ok(work.query(&format!("select {names} from (\n{sql}\n) as found"), &[])?.rows)
    };
    let actual = read(work, &sql)?;
    let expected = match expected {
        Some(expected) => read(work, &inject(&expected, &ctes))?,
        None => Vec::new(),
    };
    let columns: Vec<String> = names.split(", ").map(|name| name.trim_matches('"').to_owned()).collect();
    Ok(compare(&columns, &actual, &expected))
}

/// The statement that the test runs: the model on what is given.
pub(crate) fn statement(
    work: &mut Work<'_>,
    project: &Project,
    test: &UnitTest,
    sql: &str,
) -> Result<String, Failure> {
    Ok(inject(sql, &all_given(work, project, test)?))
}

fn all_given(work: &mut Work<'_>, project: &Project, test: &UnitTest) -> Result<Vec<Cte>, Failure> {
    test.given.iter().map(|(given, rows)| given_rows(work, project, test, given, rows)).collect()
}

fn relation_of(project: &Project, test: &UnitTest, given: &Given) -> Option<Relation> {
    let of_table = |name: &str| project.nodes[project.find_table(name)?].relation().cloned();
    match given {
        Given::Model(name) => of_table(name),
        Given::Source(source, table) => {
            project.find_source(source, table).map(|found| project.sources[found].relation.clone())
        }
        Given::This => of_table(&test.model),
    }
}

/// The rows of one input as a part of the statement.
fn given_rows(
    work: &mut Work<'_>,
    project: &Project,
    test: &UnitTest,
    given: &Given,
    rows: &Rows,
) -> Result<Cte, Failure> {
    let relation = relation_of(project, test, given).unwrap_or_else(|| Relation::new("", ""));
    let name = given_name(given, &relation.name);
    let rows = match rows {
        Rows::Sql(sql) => return Ok(Cte { name, sql: sql.clone() }),
        Rows::Values(rows) => rows,
    };
    let columns = work.columns(&relation)?;
    if columns.is_empty() {
        return Err(Failure::Broken(format!(
            "the columns of {relation} are not known, as it is not there yet; make it first, or give its rows with format: sql"
        )));
    }
    let types: BTreeMap<String, String> =
        columns.iter().map(|column| (column.name.to_lowercase(), column.data_type.clone())).collect();
    let mut selects = Vec::new();
    for row in rows {
        if let Some((unknown, _)) = row.iter().find(|(column, _)| !types.contains_key(column)) {
            return Err(Failure::Broken(format!("{relation} has no column {unknown}")));
        }
        let value = |column: &DatabaseColumn| {
            let said =
                row.iter().find(|(name, _)| *name == column.name.to_lowercase()).map(|(_, value)| value);
            format!("{} as {}", cast(said, &column.data_type), quoted(&column.name))
        };
        let values: Vec<String> = columns.iter().map(value).collect();
        selects.push(format!("select {}", values.join(", ")));
    }
    let sql = if selects.is_empty() {
        let nulls = columns
            .iter()
            .map(|column| format!("{} as {}", cast(None, &column.data_type), quoted(&column.name)));
        format!("select {} limit 0", nulls.collect::<Vec<_>>().join(", "))
    } else {
        selects.join("\nunion all\n")
    };
    Ok(Cte { name, sql })
}

/// The columns that are looked at, and the statement that gives the expected rows; none for no rows.
fn expected_rows(
    test: &UnitTest,
    columns: &[DatabaseColumn],
) -> Result<(Vec<String>, Option<String>), Failure> {
    let all = || columns.iter().map(|column| column.name.clone()).collect();
    let rows = match &test.expect {
        Rows::Sql(sql) => return Ok((all(), Some(sql.clone()))),
        Rows::Values(rows) => rows,
    };
    let Some(first) = rows.first() else { return Ok((all(), None)) };
    let names: Vec<String> = first.iter().map(|(name, _)| name.clone()).collect();
    let mut selects = Vec::new();
    for row in rows {
        let mut values = Vec::new();
        for name in &names {
            let Some(column) = columns.iter().find(|column| column.name.to_lowercase() == *name) else {
                return Err(Failure::Broken(format!("the model gives no column {name}")));
            };
            let Some((_, value)) = row.iter().find(|(column, _)| column == name) else {
                return Err(Failure::Broken(format!(
                    "an expected row has no {name}, where the first one has"
                )));
            };
            values.push(format!("{} as {}", cast(Some(value), &column.data_type), quoted(name)));
        }
        if row.len() != names.len() {
            return Err(Failure::Broken("an expected row has columns that the first one has not".to_owned()));
        }
        selects.push(format!("select {}", values.join(", ")));
    }
    Ok((names, Some(selects.join("\nunion all\n"))))
}

fn cast(value: Option<&Yaml>, data_type: &str) -> String {
    let text = match value {
        None => "null".to_owned(),
        Some(value) => match &value.data {
            Data::Null => "null".to_owned(),
            Data::Text(text) => literal(text),
            Data::List(_) | Data::Map(_) => literal(&crate::jinja::yaml_to_json(value).to_string()),
            _ => value.to_python(),
        },
    };
    format!("cast({text} as {data_type})")
}

/// Compares as bags: the order of rows means nothing.
fn compare(columns: &[String], actual: &[Vec<Value>], expected: &[Vec<Value>]) -> Verdict {
    let mut balance: BTreeMap<Vec<String>, (i64, &Vec<Value>)> = BTreeMap::new();
    for (rows, sign) in [(actual, 1), (expected, -1)] {
        for row in rows {
            balance.entry(row.iter().map(canonical).collect()).or_insert((0, row)).0 += sign;
        }
    }
    let mut lines = Vec::new();
    let mut rows = Vec::new();
    for (count, row) in balance.values().filter(|(count, _)| *count != 0) {
        let row = json_row(columns, row);
        let word = if *count > 0 { "unexpected" } else { "missing" };
        for _ in 0..count.abs() {
            lines.push(format!("{word}: {row}"));
            rows.push(format!("{{\"{word}\": {row}}}"));
        }
    }
    if lines.is_empty() {
        Verdict { status: Status::Pass, failures: 0, message: None, rows: FailingRows::default() }
    } else {
        Verdict {
            status: Status::Fail,
            failures: 1,
            message: Some(format!("the model's rows are not the expected ones\n{}", lines.join("\n"))),
            rows: FailingRows { rows, is_complete: true },
        }
    }
}

/// 1 and 1.0 are the same number.
fn canonical(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Int(number) => format!("n{number}"),
        Value::Real(number) if number.fract() == 0.0 && number.abs() < 9e15 => format!("n{}", *number as i64),
        Value::Real(number) => format!("n{number:?}"),
        Value::Text(text) => format!("t{text}"),
        Value::Blob(_) => format!("b{value}"),
    }
}
