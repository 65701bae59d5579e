//! Which columns of which tables a sum covers, and the search for rows that do not match theirs.

mod tables;

use std::fmt::Write;

use crate::row_sum::{added_sum, row_sum};
use crate::{Dialect, Schema, Session, Value, Warehouse, WarehouseError, WarehouseRead};

pub use self::tables::{COVERED, NOT_COVERED};

/// Rows named one by one, for each sum.
const SHOWN_ROWS: usize = 5;

/// Longest value of a key that is shown.
const SHOWN_CHARACTERS: usize = 60;

/// Rows sealed in one transaction.
const ROWS_A_SEAL: usize = 500;

/// How a sum is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A hash of all values.
    Hash,
    /// A hash of the key, and a weight for each number after it.
    Added,
}

/// One sum of the rows of a table.
#[derive(Debug, Clone, Copy)]
pub struct Covered {
    /// Where the table is.
    pub schema: Schema,
    /// With its schema.
    pub table: &'static str,
    /// The column that holds the sum.
    pub column: &'static str,
    /// What is added to the hash, as SQL; empty for nothing.
    pub plus: &'static str,
    /// How it is made.
    pub kind: Kind,
    /// Columns that name the row: the first so many.
    pub key: usize,
    /// What it covers, in this order.
    pub columns: &'static [&'static str],
}

impl Covered {
    /// What the sum is named by.
    fn name(&self) -> String {
        sum_name(self.table, self.column)
    }

    /// The sum of a row, without what `plus` adds.
    fn sum_of(&self, values: &[Value]) -> Option<i64> {
        match self.kind {
            Kind::Hash => row_sum(&self.name(), values).as_i64(),
            Kind::Added => {
                let numbers: Option<Vec<i64>> = values[self.key..].iter().map(Value::as_i64).collect();
                Some(added_sum(&self.name(), &values[..self.key], &numbers?))
            }
        }
    }

    fn plus(&self) -> &'static str {
        if self.plus.is_empty() { "0" } else { self.plus }
    }
}

fn sum_name(table: &str, column: &str) -> String {
    match column {
        "row_sum" => table.to_owned(),
        other => format!("{table}.{other}"),
    }
}

/// What was found in the rows of all tables.
#[derive(Debug, Clone, Default)]
pub struct RowsFound {
    /// Rows that match their sum.
    pub sound: u64,
    /// Rows without a sum, by table: they were written before sums were kept.
    pub without_sum: Vec<(&'static str, u64)>,
    /// Rows that do not match, in words.
    pub damaged: Vec<String>,
}

/// Compares every row with its sums.
///
/// # Errors
/// Failures of the warehouse.
pub fn check_rows(warehouse: &dyn WarehouseRead) -> Result<RowsFound, WarehouseError> {
    let mut found = RowsFound::default();
    for covered in COVERED {
        check_table(warehouse, covered, "", &[], &mut found)?;
    }
    Ok(found)
}

/// Fails when a row of a table, of those that a condition holds for, is not as it was written.
///
/// # Errors
/// [`WarehouseError::Unusable`], naming the row; or of the warehouse.
pub fn must_be_sound(
    warehouse: &dyn WarehouseRead,
    table: &str,
    condition: &str,
    params: &[Value],
) -> Result<(), WarehouseError> {
    let mut found = RowsFound::default();
    for covered in COVERED.iter().filter(|covered| covered.table == table) {
        check_table(warehouse, covered, &format!(" where {condition}"), params, &mut found)?;
    }
    match found.damaged.first() {
        Some(damaged) => Err(WarehouseError::damaged(warehouse.location(), damaged.as_str())),
        None => Ok(()),
    }
}

fn check_table(
    warehouse: &dyn WarehouseRead,
    covered: &Covered,
    condition: &str,
    params: &[Value],
    found: &mut RowsFound,
) -> Result<(), WarehouseError> {
    let columns = covered.columns.len();
    let sql = format!(
        "select {}, {}, {} from {}{condition}",
        covered.columns.join(", "),
        covered.column,
        covered.plus(),
        covered.table
    );
    let (mut without, mut damaged) = (0, Vec::new());
    warehouse.query(&sql, params, &mut |row| {
        let row = row.values();
        let (values, sum, plus) = (&row[..columns], &row[columns], &row[columns + 1]);
        let stored = sum.as_i64().zip(plus.as_i64()).map(|(sum, plus)| sum.wrapping_sub(plus));
        match sum {
            Value::Null => without += 1,
            _ if stored.is_some() && stored == covered.sum_of(values) => found.sound += 1,
            _ => damaged.push(key_of(covered, values)),
        }
        true
    })?;
    if without > 0 {
        found.without_sum.push((covered.table, without));
    }
    if !damaged.is_empty() {
        let more = damaged.len().saturating_sub(SHOWN_ROWS);
        damaged.truncate(SHOWN_ROWS);
        let mut text = format!("{}: not as written: {}", covered.name(), damaged.join("; "));
        if more > 0 {
            let _ = write!(text, "; and {more} more rows");
        }
        found.damaged.push(text);
    }
    Ok(())
}

/// A row's key, for people.
fn key_of(covered: &Covered, values: &[Value]) -> String {
    let shown = |(name, value): (&&str, &Value)| {
        let text: String = value
            .to_string()
            .chars()
            .filter(|character| !character.is_control())
            .take(SHOWN_CHARACTERS)
            .collect();
        format!("{name} {text}")
    };
    covered.columns[..covered.key].iter().zip(values).map(shown).collect::<Vec<_>>().join(", ")
}

/// Gives every row that has none its sums, as the rows now stand; gives how many.
///
/// # Errors
/// Failures of the warehouse. What was stored before stays.
pub fn seal_rows(warehouse: &dyn Warehouse) -> Result<u64, WarehouseError> {
    let mut sealed = 0;
    for covered in COVERED {
        let mut session = warehouse.session(covered.schema)?;
        loop {
            let rows = seal_step(warehouse.dialect(), session.as_mut(), covered)?;
            sealed += rows;
            if rows < ROWS_A_SEAL as u64 {
                break;
            }
        }
    }
    Ok(sealed)
}

/// Columns that find a row again: the primary key.
fn row_place(covered: &Covered) -> Vec<&'static str> {
    match covered.table {
        "errors.actions" => vec!["action_id"],
        "realtime.commits" => vec!["commit_id"],
        _ => covered.columns[..covered.key].to_vec(),
    }
}

fn seal_step(dialect: Dialect, session: &mut dyn Session, covered: &Covered) -> Result<u64, WarehouseError> {
    let place = row_place(covered);
    let mut transaction = session.begin()?;
    let unsealed = format!(
        "select {}, {}, {} from {} where {} is null limit {ROWS_A_SEAL}{}",
        covered.columns.join(", "),
        covered.plus(),
        place.join(", "),
        covered.table,
        covered.column,
        if dialect == Dialect::Postgres { " for update" } else { "" },
    );
    let conditions: Vec<String> =
        place.iter().enumerate().map(|(index, name)| format!("{name} = ${}", index + 2)).collect();
    let seal = format!(
        "update {} set {} = $1 where {} and {} is null",
        covered.table,
        covered.column,
        conditions.join(" and "),
        covered.column
    );
    let columns = covered.columns.len();
    let mut sealed = 0;
    for row in transaction.query(&unsealed, &[])?.iter() {
        let row = row.values();
        let sum = covered.sum_of(&row[..columns]).zip(row[columns].as_i64());
        let Some((sum, plus)) = sum else {
            return Err(WarehouseError::damaged(covered.table, key_of(covered, &row[..columns])));
        };
        let mut params = vec![Value::Int(sum + plus)];
        params.extend_from_slice(&row[columns + 1..]);
        sealed += transaction.execute(&seal, &params)?;
    }
    transaction.commit()?;
    Ok(sealed)
}
