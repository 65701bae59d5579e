//! Transactions on small tables of a SQLite file.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, TransactionBehavior};

use super::query::{bind, read_values};
use super::sqlite_failure;
use crate::{Session, Table, Transaction, Value, WarehouseError};

pub(super) struct SqliteSession {
    pub connection: Connection,
    pub folder: PathBuf,
}

impl Session for SqliteSession {
    fn begin(&mut self) -> Result<Box<dyn Transaction + '_>, WarehouseError> {
        Ok(Box::new(SqliteTransaction::begin(&mut self.connection, &self.folder)?))
    }
}

/// A transaction of a session, and of the stream processor.
pub(super) struct SqliteTransaction<'c> {
    pub transaction: rusqlite::Transaction<'c>,
    folder: &'c Path,
}

impl<'c> SqliteTransaction<'c> {
    /// Begins one that has the file's write lock from the start.
    pub fn begin(
        connection: &'c mut Connection,
        folder: &'c Path,
    ) -> Result<SqliteTransaction<'c>, WarehouseError> {
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|error| sqlite_failure(folder, &error))?;
        Ok(SqliteTransaction { transaction, folder })
    }

    pub fn checked<T>(&self, result: rusqlite::Result<T>) -> Result<T, WarehouseError> {
        result.map_err(|error| sqlite_failure(self.folder, &error))
    }
}

impl Transaction for SqliteTransaction<'_> {
    fn execute(&mut self, sql: &str, params: &[Value]) -> Result<u64, WarehouseError> {
        self.checked(execute(&self.transaction, sql, params))
    }

    fn query(&mut self, sql: &str, params: &[Value]) -> Result<Table, WarehouseError> {
        self.checked(query(&self.transaction, sql, params))
    }

    fn script(&mut self, sql: &str) -> Result<(), WarehouseError> {
        self.checked(self.transaction.execute_batch(sql))
    }

    fn commit(self: Box<Self>) -> Result<(), WarehouseError> {
        let folder = self.folder;
        self.transaction.commit().map_err(|error| sqlite_failure(folder, &error))
    }
}

/// Runs a statement without a result.
pub(super) fn execute(connection: &Connection, sql: &str, params: &[Value]) -> rusqlite::Result<u64> {
    let mut statement = connection.prepare_cached(sql)?;
    bind(&mut statement, params)?;
    statement.raw_execute().map(|rows| rows as u64)
}

/// Runs a statement with a result.
pub(super) fn query(connection: &Connection, sql: &str, params: &[Value]) -> rusqlite::Result<Table> {
    let mut statement = connection.prepare_cached(sql)?;
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    bind(&mut statement, params)?;
    let mut rows = statement.raw_query();
    let mut values = Vec::new();
    while let Some(row) = rows.next()? {
        let mut read = Vec::with_capacity(columns.len());
        read_values(row, columns.len(), &mut read)?;
        values.push(read);
    }
    Ok(Table { columns, rows: values })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use rusqlite::Connection;

    use crate::sqlite::SqliteWarehouse;
    use crate::{Schema, Value, Warehouse};

    /// What is committed to the other files while a transaction waits for its lock is seen by it: the
    /// dead-letter queue took errors for void whose commit came in such a moment.
    #[test]
    fn a_transaction_reads_the_others_as_they_are_when_it_has_its_lock() {
        let folder = tempfile::tempdir().unwrap();
        let warehouse = SqliteWarehouse::open(folder.path()).unwrap();
        let mut session = warehouse.session(Schema::Errors).unwrap();
        let holder = Connection::open(folder.path().join("errors.db")).unwrap();
        holder.execute_batch("begin immediate").unwrap();
        let (begins, has_begun) = channel();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(move || {
                begins.send(()).unwrap();
                let mut transaction = session.begin().unwrap();
                transaction.query("select count(*) from realtime.offsets", &[]).unwrap().rows[0][0].clone()
            });
            has_begun.recv().unwrap();
            // It waits now, or will see the row in any case.
            std::thread::sleep(Duration::from_millis(100));
            warehouse.begin_at("ad_events_raw", 0, 7).unwrap();
            holder.execute_batch("rollback").unwrap();
            assert_eq!(waiting.join().unwrap(), Value::Int(1));
        });
    }
}
