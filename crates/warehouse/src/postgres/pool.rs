//! A few connections that read.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use postgres::Client;

use super::connect::{Purpose, connect};
use super::settings::PostgresSettings;
use crate::WarehouseError;

/// Enough for a console's requests; each one is a process on the server.
const MAX_OPEN: usize = 6;

/// How long a caller waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection that did nothing for this long is asked whether it lives before it is used.
const FRESH: Duration = Duration::from_secs(1);
const LIFE_SIGN: Duration = Duration::from_secs(2);

#[derive(Default)]
struct State {
    idle: Vec<(Client, Instant)>,
    open: usize,
}

/// Connections that read, opened when they are needed and used again.
pub(super) struct Pool {
    settings: PostgresSettings,
    state: Mutex<State>,
    freed: Condvar,
}

impl Pool {
    pub fn new(settings: PostgresSettings) -> Pool {
        Pool { settings, state: Mutex::default(), freed: Condvar::new() }
    }

    /// Runs `work` on a connection. One that was lost is not used again.
    pub fn with<T>(
        &self,
        work: impl FnOnce(&mut Client) -> Result<T, WarehouseError>,
    ) -> Result<T, WarehouseError> {
        let place = self.take_place()?;
        let pooled = self.lock().idle.pop().and_then(still_alive);
        let mut client = match pooled {
            Some(client) => client,
            None => connect(&self.settings, Purpose::Reading)?,
        };
        let result = work(&mut client);
        if !client.is_closed() && !matches!(result, Err(WarehouseError::Unavailable { .. })) {
            self.lock().idle.push((client, Instant::now()));
        }
        drop(place);
        result
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_place(&self) -> Result<Place<'_>, WarehouseError> {
        let (mut state, waited) = self
            .freed
            .wait_timeout_while(self.lock(), PATIENCE, |state| state.open >= MAX_OPEN)
            .unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            return Err(WarehouseError::Unavailable {
                location: self.settings.location().to_owned(),
                reason: format!("{MAX_OPEN} statements run already"),
                advice: "wait until they have ended, or ask for less at once",
            });
        }
        state.open += 1;
        Ok(Place { pool: self })
    }
}

/// The right to use one connection.
struct Place<'p> {
    pool: &'p Pool,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.pool.lock().open -= 1;
        self.pool.freed.notify_one();
    }
}

fn still_alive((mut client, used_at): (Client, Instant)) -> Option<Client> {
    let is_alive = used_at.elapsed() < FRESH || client.is_valid(LIFE_SIGN).is_ok();
    is_alive.then_some(client)
}

impl Drop for Pool {
    fn drop(&mut self) {
        let idle = std::mem::take(&mut self.state.get_mut().unwrap_or_else(PoisonError::into_inner).idle);
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
