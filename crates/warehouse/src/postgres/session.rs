//! Transactions on small tables of PostgreSQL.

use std::collections::HashMap;

use postgres::types::ToSql;
use postgres::{Client, Error, Statement};

use super::failure::failure;
use super::query::table;
use super::wire::Parameter;
use crate::{Session, Table, Transaction, Value, WarehouseError};

/// Statements that are kept prepared; a session runs a few over and over.
const MAX_PREPARED: usize = 128;

pub(super) struct PostgresSession {
    client: Client,
    location: String,
    prepared: Prepared,
}

impl PostgresSession {
    pub fn new(client: Client, location: &str) -> PostgresSession {
        PostgresSession { client, location: location.to_owned(), prepared: Prepared::default() }
    }
}

impl Session for PostgresSession {
    fn begin(&mut self) -> Result<Box<dyn Transaction + '_>, WarehouseError> {
        let location = self.location.as_str();
        let transaction = self.client.transaction().map_err(|error| failure(location, &error))?;
        Ok(Box::new(PostgresTransaction { transaction, location, prepared: &mut self.prepared }))
    }
}

struct PostgresTransaction<'c> {
    transaction: postgres::Transaction<'c>,
    location: &'c str,
    prepared: &'c mut Prepared,
}

impl Transaction for PostgresTransaction<'_> {
    fn execute(&mut self, sql: &str, params: &[Value]) -> Result<u64, WarehouseError> {
        self.prepared.execute(&mut self.transaction, self.location, sql, params)
    }

    fn query(&mut self, sql: &str, params: &[Value]) -> Result<Table, WarehouseError> {
        self.prepared.query(&mut self.transaction, self.location, sql, params)
    }

    fn script(&mut self, sql: &str) -> Result<(), WarehouseError> {
        self.transaction.batch_execute(sql).map_err(|error| failure(self.location, &error))
    }

    fn commit(self: Box<Self>) -> Result<(), WarehouseError> {
        let location = self.location;
        self.transaction.commit().map_err(|error| failure(location, &error))
    }
}

/// The statements of a connection that are prepared, by their text.
#[derive(Default)]
pub(super) struct Prepared(HashMap<String, Statement>);

impl Prepared {
    /// Runs a statement without a result.
    pub fn execute(
        &mut self,
        transaction: &mut postgres::Transaction<'_>,
        location: &str,
        sql: &str,
        params: &[Value],
    ) -> Result<u64, WarehouseError> {
        let statement = self.prepare(transaction, location, sql, params.len())?;
        let parameters = parameters(&statement, params);
        let parameters: Vec<&(dyn ToSql + Sync)> =
            parameters.iter().map(|parameter| parameter as &(dyn ToSql + Sync)).collect();
        transaction.execute(&statement, &parameters).map_err(|error| failure(location, &error))
    }

    /// Runs a statement with a result.
    pub fn query(
        &mut self,
        transaction: &mut postgres::Transaction<'_>,
        location: &str,
        sql: &str,
        params: &[Value],
    ) -> Result<Table, WarehouseError> {
        let fail = |error: Error| failure(location, &error);
        let statement = self.prepare(transaction, location, sql, params.len())?;
        let parameters = parameters(&statement, params);
        let parameters: Vec<&(dyn ToSql + Sync)> =
            parameters.iter().map(|parameter| parameter as &(dyn ToSql + Sync)).collect();
        let found = transaction.query(&statement, &parameters).map_err(fail)?;
        let columns = statement.columns().iter().map(|column| column.name().to_owned()).collect();
        // Without rows, too, a result has its columns.
        Ok(Table { columns, ..table(&found).map_err(fail)? })
    }

    fn prepare(
        &mut self,
        transaction: &mut postgres::Transaction<'_>,
        location: &str,
        sql: &str,
        given: usize,
    ) -> Result<Statement, WarehouseError> {
        let statement = match self.0.get(sql) {
            Some(statement) => statement.clone(),
            None => {
                let statement = transaction.prepare(sql).map_err(|error| failure(location, &error))?;
                if self.0.len() >= MAX_PREPARED {
                    self.0.clear();
                }
                self.0.insert(sql.to_owned(), statement.clone());
                statement
            }
        };
        let wanted = statement.params().len();
        if given < wanted {
            Err(WarehouseError::Statement(format!(
                "the statement has {wanted} parameters and {given} were given"
            )))
        } else {
            Ok(statement)
        }
    }
}

/// As many of the parameters as the statement needs.
fn parameters<'v>(statement: &Statement, params: &'v [Value]) -> Vec<Parameter<'v>> {
    params[..statement.params().len()].iter().map(Parameter).collect()
}
