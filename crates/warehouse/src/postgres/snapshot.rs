//! Several reads of one moment.

use std::sync::{Mutex, MutexGuard, PoisonError};

use adpipe_event::{EventBatch, Millis};
use adpipe_sql::pool::Loan;
use postgres::{Client, Error};

use super::connect::{Purpose, connect};
use super::failure::failure;
use super::settings::PostgresSettings;
use super::{query, read};
use crate::{Dialect, OnRow, PartitionOffset, Value, WarehouseError, WarehouseRead};

/// A reading transaction: it does not see what others commit in the meantime.
pub(super) struct PostgresSnapshot<'s> {
    client: Mutex<Client>,
    settings: &'s PostgresSettings,
    _loan: Loan<'s, Client>,
}

impl<'s> PostgresSnapshot<'s> {
    pub fn begin(
        loan: Loan<'s, Client>,
        settings: &'s PostgresSettings,
    ) -> Result<PostgresSnapshot<'s>, WarehouseError> {
        let client = connect(settings, Purpose::Snapshot)?;
        Ok(PostgresSnapshot { client: Mutex::new(client), settings, _loan: loan })
    }

    fn client(&self) -> MutexGuard<'_, Client> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T>(&self, work: impl FnOnce(&mut Client) -> Result<T, Error>) -> Result<T, WarehouseError> {
        work(&mut self.client()).map_err(|error| failure(self.settings.location(), &error))
    }
}

impl WarehouseRead for PostgresSnapshot<'_> {
    fn offsets(&self, topic: &str) -> Result<Vec<PartitionOffset>, WarehouseError> {
        self.read(|client| read::offsets(client, topic))?.read()
    }

    fn newest_minute(&self) -> Result<Option<Millis>, WarehouseError> {
        self.read(read::newest_minute)
    }

    fn contains(&self, events: &EventBatch) -> Result<Vec<bool>, WarehouseError> {
        self.read(|client| read::contains(client, events))
    }

    fn query(
        &self,
        sql: &str,
        params: &[Value],
        on_row: &mut OnRow<'_>,
    ) -> Result<Vec<String>, WarehouseError> {
        query::run_within(self.settings.location(), &mut self.client(), sql, params, on_row)
    }

    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    fn location(&self) -> String {
        self.settings.location().to_owned()
    }
}
