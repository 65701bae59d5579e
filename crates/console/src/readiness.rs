//! Whether log and warehouse answer: measured once for all simultaneous requests.

use std::sync::Arc;
use std::time::{Duration, Instant};

use adpipe_ingest::http::Refusal;
use adpipe_log::{EventLog, Topic};
use adpipe_warehouse::Warehouse;
use tokio::sync::Mutex;

/// A measurement is used again for this long.
const FRESH: Duration = Duration::from_millis(250);

/// A log or warehouse that takes longer than this is not ready.
const LONGEST_CHECK: Duration = Duration::from_secs(5);

/// When it was measured, and what did not answer.
type Measured = (Instant, Vec<String>);

/// Asks log and warehouse, and keeps the newest measurement.
#[derive(Clone)]
pub(crate) struct Readiness {
    log: Arc<dyn EventLog>,
    warehouse: Arc<dyn Warehouse>,
    newest: Arc<Mutex<Option<Measured>>>,
}

impl Readiness {
    pub fn new(log: Arc<dyn EventLog>, warehouse: Arc<dyn Warehouse>) -> Readiness {
        Readiness { log, warehouse, newest: Arc::default() }
    }

    /// What does not answer, and why; nothing when all is well.
    pub async fn problems(&self) -> Result<Vec<String>, Refusal> {
        let measured = tokio::time::timeout(LONGEST_CHECK, self.measured()).await;
        measured.unwrap_or_else(|_| Ok(vec!["log and warehouse did not answer within 5 s".to_owned()]))
    }

    async fn measured(&self) -> Result<Vec<String>, Refusal> {
        let mut newest = self.newest.lock().await;
        if let Some((measured_at, problems)) = newest.as_ref()
            && measured_at.elapsed() < FRESH
        {
            return Ok(problems.clone());
        }
        let (log, warehouse) = (Arc::clone(&self.log), Arc::clone(&self.warehouse));
        let checked = tokio::task::spawn_blocking(move || {
            let log = log.ranges(Topic::Raw).err().map(|error| error.to_string());
            let warehouse = warehouse.offsets(Topic::Raw.name()).err().map(|error| error.to_string());
            [log, warehouse].into_iter().flatten().collect::<Vec<_>>()
        });
        let problems = checked.await.map_err(|error| Refusal::internal(&error))?;
        *newest = Some((Instant::now(), problems.clone()));
        Ok(problems)
    }
}
