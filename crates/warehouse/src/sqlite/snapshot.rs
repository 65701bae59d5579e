//! Several reads of one moment.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use adpipe_event::{EventBatch, Millis};
use adpipe_sql::pool::Loan;
use rusqlite::Connection;

use super::{query, read, sqlite_failure};
use crate::{Dialect, OnRow, PartitionOffset, Schema, Value, WarehouseError, WarehouseRead};

/// A reading transaction: it does not see what others commit in the meantime.
pub(super) struct SqliteSnapshot<'p> {
    connection: Mutex<Connection>,
    folder: PathBuf,
    _loan: Loan<'p, Connection>,
}

impl<'p> SqliteSnapshot<'p> {
    pub fn begin(
        loan: Loan<'p, Connection>,
        connection: Connection,
        folder: PathBuf,
    ) -> Result<SqliteSnapshot<'p>, WarehouseError> {
        // SQLite takes the view of a file at the first read of it.
        let first_reads =
            Schema::ALL.iter().map(|schema| format!("select 1 from {}.schema_migrations;", schema.name()));
        let begin = format!("begin; {}", first_reads.collect::<String>());
        connection.execute_batch(&begin).map_err(|error| sqlite_failure(&folder, &error))?;
        Ok(SqliteSnapshot { connection: Mutex::new(connection), folder, _loan: loan })
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WarehouseRead for SqliteSnapshot<'_> {
    fn offsets(&self, topic: &str) -> Result<Vec<PartitionOffset>, WarehouseError> {
        read::offsets(&self.folder, &self.connection(), topic)
    }

    fn newest_minute(&self) -> Result<Option<Millis>, WarehouseError> {
        read::newest_minute(&self.folder, &self.connection())
    }

    fn contains(&self, events: &EventBatch) -> Result<Vec<bool>, WarehouseError> {
        read::contains(&self.folder, &self.connection(), events)
    }

    fn query(
        &self,
        sql: &str,
        params: &[Value],
        on_row: &mut OnRow<'_>,
    ) -> Result<Vec<String>, WarehouseError> {
        query::run(&self.folder, &mut self.connection(), sql, params, on_row)
    }

    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    fn location(&self) -> String {
        self.folder.display().to_string()
    }
}
