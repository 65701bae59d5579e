//! The tables of the warehouse and their columns.

use adpipe_sql::section;
use adpipe_warehouse::{Dialect, FromRow, Row, Warehouse, WarehouseError, query_as, query_table};

const SQL: &str = include_str!("../../../sql/describe.sql");
const TABLES_SQLITE: &str = section(SQL, "tables_sqlite");
const TABLES_POSTGRES: &str = section(SQL, "tables_postgres");
const COLUMNS_SQLITE: &str = section(SQL, "columns_sqlite");
const COLUMNS_POSTGRES: &str = section(SQL, "columns_postgres");

/// A column of a table.
pub struct Column {
    /// The table, with its schema.
    pub table: String,
    pub name: String,
    pub kind: String,
    /// `not null`, or nothing.
    pub null: String,
}

impl FromRow for Column {
    fn from_row(row: &Row<'_>) -> Result<Column, WarehouseError> {
        let (schema, table): (&str, &str) = (row.get("schema")?, row.get("table")?);
        Ok(Column {
            table: format!("{schema}.{table}"),
            name: row.get("column")?,
            kind: row.get("type")?,
            null: row.get("null")?,
        })
    }
}

/// Name, with its schema, and type of every table and view.
pub fn tables(warehouse: &dyn Warehouse) -> Result<Vec<(String, String)>, WarehouseError> {
    let sql = match warehouse.dialect() {
        Dialect::Sqlite => TABLES_SQLITE,
        Dialect::Postgres => TABLES_POSTGRES,
    };
    let table = |row: Row<'_>| {
        let (schema, name): (&str, &str) = (row.get("schema")?, row.get("name")?);
        Ok((format!("{schema}.{name}"), row.get("type")?))
    };
    query_table(warehouse, sql, &[])?.iter().map(table).collect()
}

/// The columns of the tables of this name (`events`, `realtime.events`); of all for an empty one.
pub fn columns(warehouse: &dyn Warehouse, table: &str) -> Result<Vec<Column>, WarehouseError> {
    let sql = match warehouse.dialect() {
        Dialect::Sqlite => COLUMNS_SQLITE,
        Dialect::Postgres => COLUMNS_POSTGRES,
    };
    query_as(warehouse, sql, &[table.into()])
}
