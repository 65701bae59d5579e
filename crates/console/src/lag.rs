//! How far the processor is behind, asked for by every request and measured by few.

use std::sync::Arc;
use std::time::{Duration, Instant};

use adpipe_log::EventLog;
use adpipe_stream::StreamError;
use adpipe_stream::backlog::Backlog;
use adpipe_warehouse::Warehouse;
use tokio::sync::Mutex;

use crate::config::Services;
use crate::refusal::Refusal;

/// A measurement is used again for this long.
const FRESH: Duration = Duration::from_millis(100);

/// Measures the lag; one task at a time, so that a crowd of requests takes one thread.
pub(crate) struct LagGauge {
    log: Arc<dyn EventLog>,
    warehouse: Arc<dyn Warehouse>,
    backlog: Arc<Backlog>,
    newest: Mutex<Option<(Instant, u64)>>,
}

impl LagGauge {
    pub fn new(services: &Services) -> LagGauge {
        LagGauge {
            log: Arc::clone(&services.log),
            warehouse: Arc::clone(&services.warehouse),
            backlog: Arc::new(Backlog::new()),
            newest: Mutex::new(None),
        }
    }

    /// Records that wait. None while nobody can tell because the warehouse does not answer: the
    /// log is there for just that case, so it goes on taking events.
    ///
    /// # Errors
    /// 503 when the log does not answer.
    pub async fn records(&self) -> Result<Option<u64>, Refusal> {
        let mut newest = self.newest.lock().await;
        if let Some((measured_at, records)) = *newest
            && measured_at.elapsed() < FRESH
        {
            return Ok(Some(records));
        }
        let (log, warehouse) = (Arc::clone(&self.log), Arc::clone(&self.warehouse));
        let backlog = Arc::clone(&self.backlog);
        let measured =
            tokio::task::spawn_blocking(move || backlog.records(log.as_ref(), warehouse.as_ref())).await;
        match measured {
            Ok(Ok(records)) => {
                *newest = Some((Instant::now(), records));
                Ok(Some(records))
            }
            Ok(Err(StreamError::Log(error))) => Err(Refusal::unavailable(error.to_string())),
            Ok(Err(error)) => {
                tracing::debug!(%error, "the lag cannot be measured now");
                Ok(None)
            }
            Err(error) => Err(Refusal::internal(&error)),
        }
    }
}
