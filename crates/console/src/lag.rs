//! How far the processor is behind, asked for by every request and measured by few.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use adpipe_dlq::{Dlq, DlqError};
use adpipe_log::EventLog;
use adpipe_stream::StreamError;
use adpipe_stream::backlog;
use adpipe_warehouse::Warehouse;

use crate::config::Services;
use crate::refusal::Refusal;

/// A measurement is used again for this long.
const FRESH: Duration = Duration::from_millis(100);

/// What waits to be stored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lag {
    /// Records that wait for the processor.
    pub records: u64,
    /// Errors that wait for the dead-letter queue.
    pub errors: u64,
}

impl Lag {
    pub fn all(self) -> u64 {
        self.records.saturating_add(self.errors)
    }
}

/// Measures the lag; one task at a time, so that a crowd of requests takes one thread.
pub(crate) struct LagGauge {
    log: Arc<dyn EventLog>,
    warehouse: Arc<dyn Warehouse>,
    dlq: Dlq,
    /// Held by whoever measures.
    turn: tokio::sync::Mutex<()>,
    known: Arc<Mutex<Known>>,
}

/// What is known without asking anybody.
#[derive(Debug, Default)]
struct Known {
    newest: Option<(Instant, Lag)>,
    /// Records that were admitted and are not durable yet.
    admitted: u64,
}

/// Records on their way into the log: they count as lag from the moment they are admitted, or many
/// bodies would be taken on the strength of one measurement.
#[derive(Debug)]
pub(crate) struct Admitted {
    known: Arc<Mutex<Known>>,
    records: u64,
}

impl Drop for Admitted {
    /// They are in the log, or never will be; the next measurement tells.
    fn drop(&mut self) {
        let mut known = lock(&self.known);
        known.admitted -= self.records;
        if let Some((_, lag)) = &mut known.newest {
            lag.records += self.records;
        }
    }
}

impl LagGauge {
    pub fn new(services: &Services) -> LagGauge {
        LagGauge {
            log: Arc::clone(&services.log),
            warehouse: Arc::clone(&services.warehouse),
            dlq: services.dlq.clone(),
            turn: tokio::sync::Mutex::new(()),
            known: Arc::default(),
        }
    }

    /// Records that wait for the processor, as [`lag`](Self::lag) has them.
    ///
    /// # Errors
    /// 503 when the log does not answer.
    pub async fn records(&self) -> Result<Option<u64>, Refusal> {
        Ok(self.lag().await?.map(|lag| lag.records))
    }

    /// What waits. None while nobody can tell because the warehouse does not answer: the log is
    /// there for just that case, so it goes on taking events.
    ///
    /// # Errors
    /// 503 when the log does not answer.
    pub async fn lag(&self) -> Result<Option<Lag>, Refusal> {
        let _turn = self.turn.lock().await;
        if let Some((measured_at, lag)) = lock(&self.known).newest
            && measured_at.elapsed() < FRESH
        {
            return Ok(Some(lag));
        }
        let (log, warehouse, dlq) = (Arc::clone(&self.log), Arc::clone(&self.warehouse), self.dlq.clone());
        let measured = tokio::task::spawn_blocking(move || measure(log.as_ref(), warehouse.as_ref(), &dlq));
        let measured = measured.await.map_err(|error| Refusal::internal(&error))?;
        let mut known = lock(&self.known);
        known.newest = measured.as_ref().ok().map(|lag| (Instant::now(), *lag));
        match measured {
            Ok(lag) => Ok(Some(lag)),
            Err(StreamError::Log(error)) => Err(Refusal::unavailable(error.to_string())),
            Err(error) => {
                tracing::debug!(%error, "the lag cannot be measured now");
                Ok(None)
            }
        }
    }

    /// Lets the records of a body in, unless more than `most` wait already, or a quarter more would
    /// wait with them; one body always fits when nothing waits. Gives what waits when it does not.
    pub fn admit(&self, records: u64, most: u64) -> Result<Admitted, u64> {
        let mut known = lock(&self.known);
        // While nobody can tell how much waits, the log takes what comes.
        if let Some((_, lag)) = known.newest {
            let waiting = lag.all().saturating_add(known.admitted);
            let fits = waiting <= most && waiting.saturating_add(records) <= most.saturating_add(most / 4);
            if waiting > 0 && !fits {
                return Err(waiting);
            }
        }
        known.admitted += records;
        Ok(Admitted { known: Arc::clone(&self.known), records })
    }
}

fn measure(log: &dyn EventLog, warehouse: &dyn Warehouse, dlq: &Dlq) -> Result<Lag, StreamError> {
    let records = backlog::lag(log, warehouse)?.iter().map(|partition| partition.records).sum();
    let errors = adpipe_dlq::role::lag(dlq).map_err(|error| match error {
        DlqError::Log(error) => StreamError::Log(error),
        other => StreamError::Thread(other.to_string()),
    })?;
    Ok(Lag { records, errors: errors.iter().map(|(_, records)| records).sum() })
}

/// Every change is one addition, so a panic leaves nothing half-made behind.
fn lock(known: &Mutex<Known>) -> MutexGuard<'_, Known> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}
