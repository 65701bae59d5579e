//! The tables of the warehouse and their columns.

use adpipe_sql::section;
use adpipe_warehouse::{Dialect, Table, Warehouse, WarehouseError, query_table};

const SQL: &str = include_str!("../../../sql/describe.sql");
const TABLES_SQLITE: &str = section(SQL, "tables_sqlite");
const TABLES_POSTGRES: &str = section(SQL, "tables_postgres");
const COLUMNS_SQLITE: &str = section(SQL, "columns_sqlite");
const COLUMNS_POSTGRES: &str = section(SQL, "columns_postgres");

/// Schema, name and type of every table and view.
pub fn tables(warehouse: &dyn Warehouse) -> Result<Table, WarehouseError> {
    let sql = match warehouse.dialect() {
        Dialect::Sqlite => TABLES_SQLITE,
        Dialect::Postgres => TABLES_POSTGRES,
    };
    query_table(warehouse, sql, &[])
}

/// Schema, table, column, type and `not null` of the tables of this name (`events`,
/// `realtime.events`); of all for an empty one.
pub fn columns(warehouse: &dyn Warehouse, table: &str) -> Result<Table, WarehouseError> {
    let sql = match warehouse.dialect() {
        Dialect::Sqlite => COLUMNS_SQLITE,
        Dialect::Postgres => COLUMNS_POSTGRES,
    };
    query_table(warehouse, sql, &[table.into()])
}
