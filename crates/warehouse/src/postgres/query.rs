//! Reading statements, the user's among them: nothing can be changed by one.

use postgres::fallible_iterator::FallibleIterator;
use postgres::types::ToSql;
use postgres::{Client, Error, GenericClient, Statement};

use super::failure::{failure, server_message};
use super::wire::{Decoded, Parameter};
use crate::{OnRow, Row, Table, Value, WarehouseError};

/// Rows fetched at once: a reader that stops early has waited for no more than these, and memory
/// is bounded whatever the result's size.
const FETCH_ROWS: i32 = 2_000;

/// Runs one statement in a transaction that cannot write and is always rolled back.
pub(super) fn run(
    location: &str,
    client: &mut Client,
    sql: &str,
    params: &[Value],
    on_row: &mut OnRow<'_>,
) -> Result<Vec<String>, WarehouseError> {
    let fail = |error: Error| explain(location, &error);
    let mut transaction = client.build_transaction().read_only(true).start().map_err(fail)?;
    let (statement, columns) = prepare(location, &mut transaction, sql, params)?;
    let parameters: Vec<Parameter<'_>> = params[..statement.params().len()].iter().map(Parameter).collect();
    let parameters: Vec<&(dyn ToSql + Sync)> =
        parameters.iter().map(|parameter| parameter as &(dyn ToSql + Sync)).collect();
    let portal = transaction.bind(&statement, &parameters).map_err(fail)?;
    let mut values = Vec::with_capacity(columns.len());
    loop {
        let rows = transaction.query_portal(&portal, FETCH_ROWS).map_err(fail)?;
        for row in &rows {
            read(row, &mut values).map_err(fail)?;
            if !on_row(Row::new(&columns, &values)) {
                return Ok(columns);
            }
        }
        if rows.len() < FETCH_ROWS as usize {
            return Ok(columns);
        }
    }
}

/// Runs one statement in the reading transaction that the connection is in already. A caller that stops
/// early still waits for the rest of the rows.
pub(super) fn run_within(
    location: &str,
    client: &mut Client,
    sql: &str,
    params: &[Value],
    on_row: &mut OnRow<'_>,
) -> Result<Vec<String>, WarehouseError> {
    let fail = |error: Error| explain(location, &error);
    let (statement, columns) = prepare(location, client, sql, params)?;
    let parameters = params[..statement.params().len()].iter().map(Parameter);
    let mut rows = client.query_raw(&statement, parameters).map_err(fail)?;
    let mut values = Vec::with_capacity(columns.len());
    while let Some(row) = rows.next().map_err(fail)? {
        read(&row, &mut values).map_err(fail)?;
        if !on_row(Row::new(&columns, &values)) {
            break;
        }
    }
    Ok(columns)
}

/// Has the server read the statement, without running it, and refuses what gives no rows.
pub(super) fn prepare(
    location: &str,
    client: &mut impl GenericClient,
    sql: &str,
    params: &[Value],
) -> Result<(Statement, Vec<String>), WarehouseError> {
    let statement = client.prepare(sql).map_err(|error| explain(location, &error))?;
    let columns: Vec<String> = statement.columns().iter().map(|column| column.name().to_owned()).collect();
    // What gives no columns does something: `copy … to program` would run even in a transaction
    // that only reads.
    if columns.is_empty() {
        return Err(WarehouseError::Statement(
            "not authorized: write a statement that returns rows".to_owned(),
        ));
    }
    let wanted = statement.params().len();
    if params.len() < wanted {
        return Err(WarehouseError::Statement(format!(
            "the statement has {wanted} parameters and {} were given",
            params.len()
        )));
    }
    Ok((statement, columns))
}

/// Rows of a typed statement as those of any other.
pub(super) fn table(rows: &[postgres::Row]) -> Result<Table, Error> {
    let columns =
        rows.first().map(|row| row.columns().iter().map(|column| column.name().to_owned()).collect());
    let mut table = Table { columns: columns.unwrap_or_default(), rows: Vec::with_capacity(rows.len()) };
    for row in rows {
        let mut values = Vec::with_capacity(row.len());
        read(row, &mut values)?;
        table.rows.push(values);
    }
    Ok(table)
}

pub(super) fn read(row: &postgres::Row, values: &mut Vec<Value>) -> Result<(), Error> {
    values.clear();
    for index in 0..row.len() {
        values.push(row.try_get::<_, Decoded>(index)?.0);
    }
    Ok(())
}

/// A reader's failures: here a statement that takes too long or tries to write is at fault itself.
pub(super) fn explain(location: &str, error: &Error) -> WarehouseError {
    match error.code().map(|state| state.code()) {
        Some("57014") => WarehouseError::Statement("it took longer than 30 s; ask for less".to_owned()),
        Some("25006") => WarehouseError::Statement(format!("not authorized: {}", server_message(error))),
        Some("42601") if server_message(error).contains("multiple commands") => {
            WarehouseError::Statement("write one statement at a time; found several".to_owned())
        }
        // Words about transactions, by a statement that tried to change its own.
        Some("25001" | "42501") => WarehouseError::Statement(server_message(error)),
        Some(_) => failure(location, error),
        None if std::error::Error::source(error).is_some_and(|source| !source.is::<std::io::Error>()) => {
            let source = std::error::Error::source(error).map_or(String::new(), ToString::to_string);
            WarehouseError::Statement(source)
        }
        None => failure(location, error),
    }
}
