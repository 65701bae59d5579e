//! Whether a body is let in: not while too much waits for the processor.

use std::sync::Arc;
use std::time::Instant;

use super::senders::Senders;
use crate::http::{Client, Refusal};
use crate::lag::{Admitted, Lag, LagError, LagGauge};

/// Refuses what would come too late to be stored soon.
pub(super) struct Admission {
    gauge: Arc<LagGauge>,
    /// Held while measuring, so that many requests take one thread.
    turn: tokio::sync::Mutex<()>,
    senders: Senders,
    max_lag_records: u64,
}

impl Admission {
    pub fn new(gauge: LagGauge, max_lag_records: u64) -> Admission {
        let (gauge, turn) = (Arc::new(gauge), tokio::sync::Mutex::new(()));
        Admission { gauge, turn, senders: Senders::default(), max_lag_records }
    }

    /// What waits. None if it cannot be measured because the warehouse does not answer: the log exists
    /// for this case, so it still accepts events.
    ///
    /// # Errors
    /// 503 when the log does not answer.
    pub async fn lag(&self) -> Result<Option<Lag>, Refusal> {
        let _turn = self.turn.lock().await;
        if let Some(lag) = self.gauge.remembered() {
            return Ok(Some(lag));
        }
        let gauge = Arc::clone(&self.gauge);
        let measured = tokio::task::spawn_blocking(move || gauge.measure());
        match measured.await.map_err(|error| Refusal::internal(&error))? {
            Ok(lag) => Ok(Some(lag)),
            Err(LagError::Log(error)) => Err(Refusal::unavailable(error.to_string())),
            Err(error) => {
                tracing::debug!(%error, "the lag cannot be measured now");
                Ok(None)
            }
        }
    }

    /// Refuses a body that would come too late to be stored soon.
    ///
    /// # Errors
    /// 429 when too much waits, 503 when the log does not answer.
    pub async fn refuse_when_behind(&self, client: Client) -> Result<(), Refusal> {
        match self.lag().await? {
            Some(lag) if lag.all() > self.most_waiting(client) => Err(self.behind(lag)),
            _ => Ok(()),
        }
    }

    /// Lets the records of a body in.
    ///
    /// # Errors
    /// 429 when too many would wait with them.
    pub fn admit(&self, client: Client, records: u64) -> Result<Admitted, Refusal> {
        let admitted = self.gauge.admit(records, self.most_waiting(client)).map_err(|waiting| {
            let most = self.max_lag_records;
            Refusal::busy(format!(
                "{waiting} records wait already; with the {records} of this body they would be too \
                 many (max_lag_records = {most}); try again shortly"
            ))
        })?;
        self.senders.note(client, records, Instant::now());
        Ok(admitted)
    }

    /// Records that may wait before a sender is refused. For those that sent hardly anything lately
    /// they are twice as many: the flood of one must not shut out the others. (The errors of the batch
    /// that is being written count twice, too: as records and as errors.)
    fn most_waiting(&self, client: Client) -> u64 {
        let is_light = self.senders.is_light(client, Instant::now());
        if is_light { self.max_lag_records.saturating_mul(2) } else { self.max_lag_records }
    }

    fn behind(&self, lag: Lag) -> Refusal {
        let (most, records) = (self.max_lag_records, lag.records);
        let waiting = match lag.errors {
            0 => format!("{records} records wait for the processor"),
            errors => format!(
                "{records} records wait for the processor and {errors} errors for the dead-letter queue (is its role running?)"
            ),
        };
        Refusal::busy(format!("{waiting}, more than max_lag_records = {most}; try again shortly"))
    }
}
