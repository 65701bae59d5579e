//! What every part of the queue shares.

use std::sync::{Arc, Mutex, PoisonError};

use adpipe_log::EventLog;
use adpipe_metrics::Metrics;
use adpipe_warehouse::{Dialect, Schema, Session, Transaction, Warehouse};

use crate::error::DlqError;
use crate::settings::DlqSettings;

/// Sessions kept for reuse.
const IDLE_SESSIONS: usize = 4;

/// The dead-letter queue of one warehouse and one log. Clones share it.
#[derive(Clone)]
pub struct Dlq {
    inner: Arc<Inner>,
}

struct Inner {
    settings: DlqSettings,
    log: Arc<dyn EventLog>,
    warehouse: Arc<dyn Warehouse>,
    metrics: Metrics,
    idle: Mutex<Vec<Box<dyn Session>>>,
}

impl Dlq {
    /// The queue of this warehouse and this log.
    pub fn new(
        settings: DlqSettings,
        log: Arc<dyn EventLog>,
        warehouse: Arc<dyn Warehouse>,
        metrics: Metrics,
    ) -> Dlq {
        Dlq { inner: Arc::new(Inner { settings, log, warehouse, metrics, idle: Mutex::default() }) }
    }

    /// How it works.
    pub fn settings(&self) -> &DlqSettings {
        &self.inner.settings
    }

    pub(crate) fn log(&self) -> &dyn EventLog {
        self.inner.log.as_ref()
    }

    pub(crate) fn warehouse(&self) -> &dyn Warehouse {
        self.inner.warehouse.as_ref()
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }

    pub(crate) fn is_postgres(&self) -> bool {
        self.warehouse().dialect() == Dialect::Postgres
    }

    /// Runs `work` in one transaction. What it did is undone when it fails.
    pub(crate) fn transact<T>(
        &self,
        work: impl FnOnce(&mut dyn Transaction) -> Result<T, DlqError>,
    ) -> Result<T, DlqError> {
        let pooled = self.idle().pop();
        let mut session = match pooled {
            Some(session) => session,
            None => self.warehouse().session(Schema::Errors)?,
        };
        let result = run(session.as_mut(), work);
        // A session whose server is gone stays so.
        if !result.as_ref().is_err_and(DlqError::is_transient) {
            let mut idle = self.idle();
            if idle.len() < IDLE_SESSIONS {
                idle.push(session);
            }
        }
        result
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Box<dyn Session>>> {
        self.inner.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn run<T>(
    session: &mut dyn Session,
    work: impl FnOnce(&mut dyn Transaction) -> Result<T, DlqError>,
) -> Result<T, DlqError> {
    let mut transaction = session.begin()?;
    let done = work(transaction.as_mut())?;
    transaction.commit()?;
    Ok(done)
}
