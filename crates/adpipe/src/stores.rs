//! How the opened stores stand to each other: what [`adpipe_stores`] needs of the services,
//! and which role needs which store.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError};

use adpipe_log::{Offset, Topic};
use adpipe_metrics::Role;
use adpipe_stores::{Keeper, Parts, State, Store, Stores, StoresError};

use crate::services::Services;

/// The stores that a role writes to, or whose places it goes by.
fn needed_by(role: Role) -> &'static [Store] {
    match role {
        Role::Stream => &[Store::Log, Store::Realtime],
        Role::Dlq => &[Store::Log, Store::Realtime, Store::Errors],
        Role::Scheduler | Role::Monitor => &[Store::Ops],
        Role::Console => &[],
    }
}

impl Services {
    /// Compares the stores, settles what can be settled, and stops what does not fit.
    ///
    /// # Errors
    /// When the log is not the one that the others know: then nothing can continue.
    pub fn settle(&self) -> anyhow::Result<()> {
        let stores = self.with_parts(adpipe_stores::open)?;
        self.take_up(stores);
        self.require(&[Store::Log])?;
        Ok(())
    }

    /// Compares them again, because someone may have repaired something in the meantime.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub fn look_again(&self) -> Result<(), StoresError> {
        let stores = self.with_parts(adpipe_stores::open)?;
        self.take_up(stores);
        Ok(())
    }

    /// How they stand now, without changing anything.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub fn look_at_stores(&self) -> Result<Stores, StoresError> {
        self.with_parts(adpipe_stores::look)
    }

    /// Accepts a store as it is.
    ///
    /// # Errors
    /// When there is nothing to accept, or it cannot be.
    pub fn accept_store(&self, store: Store, actor: &str) -> Result<Stores, StoresError> {
        self.with_parts(|parts| adpipe_stores::accept::accept(parts, store, actor))
    }

    /// Fails with the first of these stores that is stopped.
    ///
    /// # Errors
    /// Which one, why, and what to do.
    pub fn require(&self, stores: &[Store]) -> Result<(), StoresError> {
        self.stores.lock().unwrap_or_else(PoisonError::into_inner).require(stores)
    }

    /// Fails when a role cannot work as the stores stand.
    ///
    /// # Errors
    /// Which store is stopped, why, and what to do.
    pub fn require_for(&self, role: Role) -> Result<(), StoresError> {
        self.require(needed_by(role))
    }

    /// Keeps fresh what the stores remember of each other.
    pub fn keeper(&self) -> Keeper {
        Keeper::new(Arc::clone(&self.log), Arc::clone(&self.warehouse), self.own_log.is_some())
    }

    /// Has the stores remember each other as they are now; for the end of what changes them.
    pub fn remember(&self) {
        self.keeper().try_turn(true);
    }

    fn take_up(&self, stores: Stores) {
        let stopped = stores.standings.iter().filter_map(|standing| match &standing.state {
            State::Stopped(message) => Some((standing.store.schema()?, message.clone())),
            State::Sound | State::GoesOn(_) => None,
        });
        self.guard.stop(stopped.collect());
        *self.stores.lock().unwrap_or_else(PoisonError::into_inner) = stores;
    }

    fn with_parts<T>(&self, work: impl FnOnce(Parts<'_>) -> T) -> T {
        let raise = self
            .own_log
            .as_ref()
            .map(|log| move |floors: &[(Topic, u32, Offset)]| log.begin_at_least(floors).map(drop));
        let has_parts = || {
            let files = self.archive.strays(&HashSet::new()).map_err(|error| error.to_string())?;
            Ok(files.iter().any(|path| path.starts_with("event_date=") && path.ends_with(".parquet")))
        };
        work(Parts {
            log: self.log.as_ref(),
            warehouse: self.guard.unguarded().as_ref(),
            raise: raise.as_ref().map(|raise| raise as &adpipe_stores::Raise<'_>),
            archive_has_parts: &has_parts,
        })
    }
}
