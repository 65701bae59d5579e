//! One active scheduler on a warehouse, and one active monitor.
//!
//! The lease is a row, with its own name for each role. Its holder raises `beat` in every transaction,
//! and at least every fifth of the lease's time; the others take it over when they have watched `beat`
//! stand still for the whole of that time. Each measures on its own clock, which only runs forward, so
//! that no change of the wall clock, and no difference between two machines, makes two of them active.
//! Time in which the warehouse could not be read does not count, as a holder cannot raise `beat` then.
//! A scheduler that cannot reach the warehouse ends its tasks after a third of the lease's time.

use std::time::{Duration, Instant};

use adpipe_event::Millis;
use adpipe_sql::section;
use adpipe_warehouse::{FromRow, Row, Schema, Transaction, Value, Warehouse, WarehouseError, query_table};

use crate::ScheduleError;
use crate::process::{self, Life};

const LEASE: &str = include_str!("../sql/lease.sql");
const READ: &str = section(LEASE, "read");
const FIRST: &str = section(LEASE, "first");
const TAKE: &str = section(LEASE, "take");
const FENCE: &str = section(LEASE, "fence");
const RELEASE: &str = section(LEASE, "release");

/// The lease of the active scheduler.
pub const SCHEDULER: &str = "scheduler";

/// The lease of the active monitor.
pub const MONITOR: &str = "monitor";

/// A lease, held.
#[derive(Debug, Clone)]
pub struct Held {
    name: &'static str,
    owner: String,
    epoch: i64,
    ttl: Duration,
    renewed: Instant,
}

impl Held {
    /// Renews the lease in the caller's transaction.
    ///
    /// # Errors
    /// [`ScheduleError::Fenced`] when it is another's: the transaction must not be committed.
    pub fn fence(&self, transaction: &mut dyn Transaction) -> Result<(), ScheduleError> {
        let now = Millis::now().to_string();
        let params = [self.name.into(), self.owner.as_str().into(), self.epoch.into(), now.into()];
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
    ///
    /// # Errors
    /// Failures of the warehouse.
    pub fn release(&self, transaction: &mut dyn Transaction) -> Result<(), ScheduleError> {
        transaction.execute(RELEASE, &[self.name.into(), self.owner.as_str().into(), self.epoch.into()])?;
        Ok(())
    }
}

/// A lease, as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    owner: String,
    epoch: i64,
    beat: i64,
    ttl_ms: i64,
    process: String,
    released: bool,
}

/// A candidate for a lease.
#[derive(Debug)]
pub struct Candidate {
    name: &'static str,
    owner: String,
    ttl: Duration,
    watched: Option<(Seen, Instant)>,
    saw_life: bool,
}

impl Candidate {
    /// A candidate for the lease of this name, [`SCHEDULER`] or [`MONITOR`], that gives a sign of life
    /// at least every fifth of `ttl`.
    pub fn new(name: &'static str, ttl: Duration) -> Candidate {
        // The process's identity is its alone; the time distinguishes two candidates of one process.
        let owner = format!("{}#{:?}", process::own_identity(), Instant::now());
        Candidate { name, owner, ttl, watched: None, saw_life: false }
    }

    /// Takes the lease when it is free.
    ///
    /// # Errors
    /// Failures of the warehouse.
    pub fn try_take(&mut self, warehouse: &dyn Warehouse) -> Result<Option<Held>, ScheduleError> {
        let began = Instant::now();
        let now: Value = Millis::now().to_string().into();
        let own = process::own_identity();
        let (owner, ttl) = (self.owner.clone(), i64::try_from(self.ttl.as_millis()).unwrap_or(i64::MAX));
        let seen = match read(warehouse, self.name) {
            Ok(seen) => seen,
            Err(error) => {
                self.watched = None;
                return Err(error);
            }
        };
        let Some(seen) = seen else {
            let params = [self.name.into(), owner.into(), ttl.into(), own.into(), now];
            let is_first = write_one(warehouse, FIRST, &params)?;
            return Ok(is_first.then(|| self.held(1, began)));
        };
        if !self.is_free(&seen) {
            return Ok(None);
        }
        let (epoch, beat) = (seen.epoch.into(), seen.beat.into());
        let params = [self.name.into(), owner.into(), ttl.into(), own.into(), now, epoch, beat];
        let is_taken = write_one(warehouse, TAKE, &params)?;
        Ok(is_taken.then(|| self.held(seen.epoch + 1, began)))
    }

    /// True if the holder is known to be alive: for callers that would rather not wait for the lease.
    pub fn saw_life(&self) -> bool {
        self.saw_life
    }

    fn held(&mut self, epoch: i64, renewed: Instant) -> Held {
        self.watched = None;
        Held { name: self.name, owner: self.owner.clone(), epoch, ttl: self.ttl, renewed }
    }

    fn is_free(&mut self, seen: &Seen) -> bool {
        let life = process::life(&seen.process);
        if seen.released || life == Life::Dead {
            return true;
        }
        let has_moved = self.watched.as_ref().is_some_and(|(before, _)| before != seen);
        self.saw_life = self.saw_life || life == Life::Alive || has_moved;
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

/// True when the statement changed a row.
fn write_one(warehouse: &dyn Warehouse, sql: &str, params: &[Value]) -> Result<bool, ScheduleError> {
    let mut session = warehouse.session(Schema::Ops)?;
    let mut transaction = session.begin()?;
    let changed = transaction.execute(sql, params)?;
    transaction.commit()?;
    Ok(changed == 1)
}

fn read(warehouse: &dyn Warehouse, name: &str) -> Result<Option<Seen>, ScheduleError> {
    Ok(query_table(warehouse, READ, &[name.into()])?.read_first()?)
}

impl FromRow for Seen {
    fn from_row(row: &Row<'_>) -> Result<Seen, WarehouseError> {
        Ok(Seen {
            owner: row.get("owner")?,
            epoch: row.get("epoch")?,
            beat: row.get("beat")?,
            ttl_ms: row.get("ttl_ms")?,
            process: row.get("process")?,
            released: row.get("released")?,
        })
    }
}

/// Whether the lease seems to be held, for people: not to rely on. Gives the holder's process.
///
/// # Errors
/// When the warehouse cannot be read.
pub fn holder(warehouse: &dyn Warehouse, name: &str) -> Result<Option<String>, ScheduleError> {
    let seen = read(warehouse, name)?;
    Ok(seen
        .filter(|seen| !seen.released && process::life(&seen.process) != Life::Dead)
        .map(|seen| seen.process))
}
