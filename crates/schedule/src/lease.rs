//! One active scheduler on a warehouse.
//!
//! The lease is a row. Its holder raises `beat` in every transaction, and at least every fifth of
//! the lease's time; the others take it over when they have watched `beat` stand still for the
//! whole of that time. Everybody measures on a clock of his own that only runs forward, so that no
//! change of the wall clock, and no difference between two machines, makes two of them active. A
//! holder that cannot reach the warehouse ends its tasks after a third of the time.

use std::time::{Duration, Instant};

use adpipe_event::Millis;
use adpipe_sql::section;
use adpipe_warehouse::{Transaction, Value};

use crate::ScheduleError;
use crate::process::{self, Life};
use crate::state::{number, text};
use crate::store::Store;

const LEASE: &str = include_str!("../sql/lease.sql");
const READ: &str = section(LEASE, "read");
const FIRST: &str = section(LEASE, "first");
const TAKE: &str = section(LEASE, "take");
const FENCE: &str = section(LEASE, "fence");
const RELEASE: &str = section(LEASE, "release");

/// The lease, held.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    owner: String,
    epoch: i64,
    ttl: Duration,
    renewed: Instant,
}

impl Held {
    /// Fails when the lease is another's, else renews it with the transaction it stands in.
    pub fn fence(&self, transaction: &mut dyn Transaction) -> Result<(), ScheduleError> {
        let params = [self.owner.as_str().into(), self.epoch.into(), Millis::now().to_string().into()];
        match transaction.execute(FENCE, &params)? {
            1 => Ok(()),
            _ => Err(ScheduleError::Fenced),
        }
    }

    /// A renewal that was begun at `began` has succeeded.
    pub fn renewed(&mut self, began: Instant) {
        self.renewed = began;
    }

    /// True when it is time to renew it, though there is nothing to write.
    pub fn wants_renewal(&self) -> bool {
        self.renewed.elapsed() > self.ttl / 5
    }

    /// True when the tasks must end: another may take over before long.
    pub fn is_in_doubt(&self) -> bool {
        self.renewed.elapsed() > self.ttl / 3
    }

    /// Lets go of it, so that the next one need not wait.
    pub fn release(&self, transaction: &mut dyn Transaction) -> Result<(), ScheduleError> {
        transaction.execute(RELEASE, &[self.owner.as_str().into(), self.epoch.into()])?;
        Ok(())
    }
}

/// The lease of somebody, as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    owner: String,
    epoch: i64,
    beat: i64,
    ttl_ms: i64,
    process: String,
    released: bool,
}

/// Who waits for the lease.
#[derive(Debug)]
pub(crate) struct Candidate {
    owner: String,
    ttl: Duration,
    watched: Option<(Seen, Instant)>,
}

impl Candidate {
    pub fn new(ttl: Duration) -> Candidate {
        // The process's identity is its alone; the time tells apart two candidates of one process.
        let owner = format!("{}#{:?}", process::own_identity(), Instant::now());
        Candidate { owner, ttl, watched: None }
    }

    /// Takes the lease when it is free.
    pub fn try_take(&mut self, store: &mut Store) -> Result<Option<Held>, ScheduleError> {
        let began = Instant::now();
        let now: Value = Millis::now().to_string().into();
        let own = process::own_identity();
        let (owner, ttl) = (self.owner.clone(), i64::try_from(self.ttl.as_millis()).unwrap_or(i64::MAX));
        let Some(seen) = read(store)? else {
            let params = [owner.into(), ttl.into(), own.into(), now];
            let is_first = store.write(|changes| Ok(changes.transaction().execute(FIRST, &params)? == 1))?;
            return Ok(is_first.then(|| self.held(1, began)));
        };
        if !self.is_free(&seen) {
            return Ok(None);
        }
        let params = [owner.into(), ttl.into(), own.into(), now, seen.epoch.into(), seen.beat.into()];
        let is_taken = store.write(|changes| Ok(changes.transaction().execute(TAKE, &params)? == 1))?;
        Ok(is_taken.then(|| self.held(seen.epoch + 1, began)))
    }

    fn held(&mut self, epoch: i64, renewed: Instant) -> Held {
        self.watched = None;
        Held { owner: self.owner.clone(), epoch, ttl: self.ttl, renewed }
    }

    fn is_free(&mut self, seen: &Seen) -> bool {
        if seen.released || process::life(&seen.process) == Life::Dead {
            return true;
        }
        let ttl = self.ttl.max(Duration::from_millis(seen.ttl_ms.unsigned_abs()));
        match &self.watched {
            Some((before, since)) if before == seen => since.elapsed() > ttl,
            _ => {
                self.watched = Some((seen.clone(), Instant::now()));
                false
            }
        }
    }
}

fn read(store: &Store) -> Result<Option<Seen>, ScheduleError> {
    let rows = store.rows(READ, &[])?;
    let Some(row) = rows.first() else { return Ok(None) };
    Ok(Some(Seen {
        owner: text(&row[0])?,
        epoch: number(&row[1])?,
        beat: number(&row[2])?,
        ttl_ms: number(&row[3])?,
        process: text(&row[4])?,
        released: number(&row[5])? != 0,
    }))
}

/// Whether a scheduler seems to be at work, for people: not to rely on.
///
/// # Errors
/// When the warehouse cannot be read.
pub fn holder(store: &Store) -> Result<Option<String>, ScheduleError> {
    let seen = read(store)?;
    Ok(seen
        .filter(|seen| !seen.released && process::life(&seen.process) != Life::Dead)
        .map(|seen| seen.process))
}
