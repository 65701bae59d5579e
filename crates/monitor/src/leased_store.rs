//! What the monitor does with the warehouse: its lease, reading, writing. It lives on a separate thread
//! ([`BoundedWorker`](adpipe_runtime::BoundedWorker)), as all of it may hang.

use std::sync::Arc;
use std::time::{Duration, Instant};

use adpipe_event::Millis;
use adpipe_schedule::ScheduleError;
use adpipe_schedule::lease::{Candidate, Held, MONITOR};
use adpipe_warehouse::{Schema, Session, Transaction, Warehouse, WarehouseError};

use crate::alert::{Alert, Silence};
use crate::error::MonitorError;
use crate::evaluate::Write;
use crate::store;

/// How often what is kept no longer is looked for.
const HOUSEKEEPING: Duration = Duration::from_secs(600);

/// Whether this monitor is the active one.
pub(crate) enum Turn {
    /// Another one is, or may be.
    StandBy {
        /// It is known to be alive.
        sees_life: bool,
    },
    /// It is; with what is stored.
    Active(Stored),
}

/// What is stored that the evaluator has to know.
pub(crate) struct Stored {
    /// Alerts that are open, or have ended without a notification.
    pub alerts: Vec<Alert>,
    /// Silences that last or are still to come.
    pub silences: Vec<Silence>,
}

/// The monitor's hands on the warehouse.
pub(crate) struct LeasedStore {
    warehouse: Arc<dyn Warehouse>,
    lease_time: Duration,
    keep: Duration,
    candidate: Candidate,
    lease: Option<Held>,
    session: Option<Box<dyn Session>>,
    kept_house: Option<Instant>,
}

impl LeasedStore {
    pub fn new(warehouse: Arc<dyn Warehouse>, lease_time: Duration, keep: Duration) -> LeasedStore {
        let candidate = Candidate::new(MONITOR, lease_time);
        LeasedStore { warehouse, lease_time, keep, candidate, lease: None, session: None, kept_house: None }
    }

    /// Takes the lease when it is free, and reads what is stored.
    pub fn begin(&mut self) -> Result<Turn, MonitorError> {
        if self.lease.is_none() {
            self.lease = self.candidate.try_take(self.warehouse.as_ref())?;
        }
        match self.lease {
            None => Ok(Turn::StandBy { sees_life: self.candidate.saw_life() }),
            Some(_) => Ok(Turn::Active(self.stored()?)),
        }
    }

    fn stored(&self) -> Result<Stored, MonitorError> {
        let warehouse = self.warehouse.as_ref();
        Ok(Stored { alerts: store::unfinished(warehouse)?, silences: store::silences(warehouse)? })
    }

    /// Stores what changed, renews the lease, and gives what people did in the meantime.
    pub fn save(&mut self, writes: &[Write], now: Millis) -> Result<Stored, MonitorError> {
        let is_due = self.kept_house.is_none_or(|last| last.elapsed() >= HOUSEKEEPING);
        let keep = i64::try_from(self.keep.as_millis()).unwrap_or(i64::MAX);
        let limit = Millis(now.0.saturating_sub(keep).max(0));
        self.write_fenced(|transaction| {
            store::save(transaction, writes)?;
            if is_due {
                store::retire(transaction, limit)?;
            }
            Ok(())
        })?;
        if is_due {
            self.kept_house = Some(Instant::now());
        }
        self.stored()
    }

    fn write_fenced(
        &mut self,
        work: impl FnOnce(&mut dyn Transaction) -> Result<(), WarehouseError>,
    ) -> Result<(), MonitorError> {
        let began = Instant::now();
        let lease = self.lease.as_mut().ok_or(ScheduleError::Fenced)?;
        let mut session = match self.session.take() {
            Some(session) => session,
            None => self.warehouse.session(Schema::Ops)?,
        };
        let mut transaction = session.begin()?;
        lease.fence(transaction.as_mut())?;
        work(transaction.as_mut())?;
        transaction.commit()?;
        lease.renewed(began);
        // A session that failed may be cut off from its server; this one did not.
        self.session = Some(session);
        Ok(())
    }

    /// The lease is another's.
    pub fn give_up(&mut self) {
        self.lease = None;
        self.session = None;
        self.candidate = Candidate::new(MONITOR, self.lease_time);
    }

    /// Lets go of the lease, so that the next one need not wait.
    pub fn release(&mut self) -> Result<(), MonitorError> {
        let Some(lease) = self.lease.take() else { return Ok(()) };
        let mut session = self.warehouse.session(Schema::Ops)?;
        let mut transaction = session.begin()?;
        lease.release(transaction.as_mut())?;
        transaction.commit()?;
        Ok(())
    }
}
