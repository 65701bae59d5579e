//! Whether log and warehouse answer: measured once for all simultaneous requests.

use std::time::{Duration, Instant};

use adpipe_ingest::http::Refusal;
use adpipe_log::Topic;
use tokio::sync::Mutex;

use crate::app::App;

/// A measurement is used again for this long.
const FRESH: Duration = Duration::from_millis(250);

/// A log or warehouse that takes longer than this is not ready.
const PATIENCE: Duration = Duration::from_secs(5);

/// When it was measured, and what did not answer.
type Measured = (Instant, Vec<String>);

/// The newest measurement.
#[derive(Default)]
pub(crate) struct Readiness(Mutex<Option<Measured>>);

impl Readiness {
    /// What does not answer, and why; nothing when all is well.
    pub async fn problems(&self, app: &App) -> Result<Vec<String>, Refusal> {
        let measured = tokio::time::timeout(PATIENCE, self.measured(app)).await;
        measured.unwrap_or_else(|_| Ok(vec!["log and warehouse did not answer within 5 s".to_owned()]))
    }

    async fn measured(&self, app: &App) -> Result<Vec<String>, Refusal> {
        let mut newest = self.0.lock().await;
        if let Some((measured_at, problems)) = newest.as_ref()
            && measured_at.elapsed() < FRESH
        {
            return Ok(problems.clone());
        }
        let services = app.services.clone();
        let checked = tokio::task::spawn_blocking(move || {
            let log = services.log.ranges(Topic::Raw).err().map(|error| error.to_string());
            let warehouse =
                services.warehouse.offsets(Topic::Raw.name()).err().map(|error| error.to_string());
            [log, warehouse].into_iter().flatten().collect::<Vec<_>>()
        });
        let problems = checked.await.map_err(|error| Refusal::internal(&error))?;
        *newest = Some((Instant::now(), problems.clone()));
        Ok(problems)
    }
}
