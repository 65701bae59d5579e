//! A few connections that read; each one is a process on the server.

use std::time::Duration;

use adpipe_sql::pool::{self, Loan, PoolBusy, PoolLimits};
use postgres::Client;

use super::connect::{Purpose, connect};
use super::settings::PostgresSettings;
use crate::WarehouseError;

/// A connection that did nothing for this long is asked whether it lives before it is used.
const FRESH: Duration = Duration::from_secs(1);
const LIFE_SIGN: Duration = Duration::from_secs(2);

/// Connections that read, opened when they are needed and used again.
pub(super) struct Pool {
    settings: PostgresSettings,
    clients: pool::Pool<Client>,
}

impl Pool {
    pub fn new(settings: PostgresSettings, limits: PoolLimits) -> Pool {
        Pool { settings, clients: pool::Pool::new(limits) }
    }

    /// Runs `work` on a connection. One that was lost is not used again.
    pub fn with<T>(
        &self,
        work: impl FnOnce(&mut Client) -> Result<T, WarehouseError>,
    ) -> Result<T, WarehouseError> {
        let loan = self.take()?;
        let mut client = match loan.reuse().and_then(still_alive) {
            Some(client) => client,
            None => connect(&self.settings, Purpose::Reading)?,
        };
        let result = work(&mut client);
        if !client.is_closed() && !matches!(result, Err(WarehouseError::Unavailable { .. })) {
            loan.keep(client);
        }
        result
    }

    /// The right to one connection.
    pub fn take(&self) -> Result<Loan<'_, Client>, WarehouseError> {
        self.clients.take().map_err(|busy| WarehouseError::Unavailable {
            location: self.settings.location().to_owned(),
            reason: busy.to_string(),
            advice: PoolBusy::ADVICE,
        })
    }
}

fn still_alive((mut client, idle): (Client, Duration)) -> Option<Client> {
    let is_alive = idle < FRESH || client.is_valid(LIFE_SIGN).is_ok();
    is_alive.then_some(client)
}

impl Drop for Pool {
    fn drop(&mut self) {
        let idle = self.clients.take_idle();
        if idle.is_empty() {
            return;
        }
        // Closing waits for the network, which the driver refuses to do where async code runs; and
        // the last one to hold a warehouse may be a task of the console.
        if let Ok(closing) = std::thread::Builder::new().spawn(move || drop(idle)) {
            let _ = closing.join();
        }
    }
}
