//! Reading statements, the user's among them: nothing can be changed by one.

use std::path::Path;

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Statement};

use super::sqlite_failure;
use crate::{OnRow, Row, Value, WarehouseError};

/// Runs one statement with everything but reading forbidden.
pub(super) fn run(
    folder: &Path,
    connection: &mut Connection,
    sql: &str,
    params: &[Value],
    on_row: &mut OnRow<'_>,
) -> Result<Vec<String>, WarehouseError> {
    let fail = |error: rusqlite::Error| match error {
        rusqlite::Error::MultipleStatement => {
            WarehouseError::Statement("write one statement at a time; found several".to_owned())
        }
        other => sqlite_failure(folder, &other),
    };
    connection.authorizer(Some(only_reading)).map_err(fail)?;
    let result = read(connection, sql, params, on_row);
    let freed = connection.authorizer(None::<fn(AuthContext<'_>) -> Authorization>);
    freed.and(result).map_err(fail)
}

pub(super) fn only_reading(context: AuthContext<'_>) -> Authorization {
    match context.action {
        AuthAction::Select
        | AuthAction::Read { .. }
        | AuthAction::Function { .. }
        | AuthAction::Recursive => Authorization::Allow,
        // `pragma table_info(…)` and the like only report.
        AuthAction::Pragma { pragma_name, .. }
            if pragma_name.ends_with("_info") || pragma_name.ends_with("_list") =>
        {
            Authorization::Allow
        }
        _ => Authorization::Deny,
    }
}

fn read(
    connection: &Connection,
    sql: &str,
    params: &[Value],
    on_row: &mut OnRow<'_>,
) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare(sql)?;
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    bind(&mut statement, params)?;
    let mut rows = statement.raw_query();
    let mut values = Vec::with_capacity(columns.len());
    while let Some(row) = rows.next()? {
        read_values(row, columns.len(), &mut values)?;
        if !on_row(Row::new(&columns, &values)) {
            break;
        }
    }
    Ok(columns)
}

/// Gives each `$1`, `$2` … its parameter. To SQLite they are names, which it numbers by where they
/// come first, so they are looked up one by one.
pub(super) fn bind(statement: &mut Statement<'_>, params: &[Value]) -> rusqlite::Result<()> {
    for index in 1..=statement.parameter_count() {
        let number = statement
            .parameter_name(index)
            .and_then(|name| name.trim_start_matches(['$', '?']).parse::<usize>().ok())
            .unwrap_or(index);
        match params.get(number.wrapping_sub(1)) {
            Some(value) => statement.raw_bind_parameter(index, to_sqlite(value))?,
            None => return Err(rusqlite::Error::InvalidParameterCount(params.len(), number)),
        }
    }
    Ok(())
}

/// Reads a row's values, replacing what `values` held.
pub(super) fn read_values(
    row: &rusqlite::Row<'_>,
    columns: usize,
    values: &mut Vec<Value>,
) -> rusqlite::Result<()> {
    values.clear();
    for index in 0..columns {
        values.push(from_sqlite(row.get_ref(index)?));
    }
    Ok(())
}

fn to_sqlite(value: &Value) -> rusqlite::types::Value {
    use rusqlite::types::Value as Sqlite;
    match value {
        Value::Null => Sqlite::Null,
        Value::Int(number) => Sqlite::Integer(*number),
        Value::Real(number) => Sqlite::Real(*number),
        Value::Text(text) => Sqlite::Text(text.clone()),
        Value::Blob(bytes) => Sqlite::Blob(bytes.clone()),
    }
}

fn from_sqlite(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Int(number),
        ValueRef::Real(number) => Value::Real(number),
        ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
    }
}
