//! Errors that wait in the log until they are stored: the queue's lists do not have them yet, so a page
//! that showed none would be wrong.

use std::sync::Arc;
use std::time::{Duration, Instant};

use adpipe_dlq::{Dlq, role};
use tokio::sync::Mutex;

/// A measurement is used again for this long: pages ask every few seconds, and a broker is asked
/// over the network.
const FRESH: Duration = Duration::from_secs(1);

/// When it was measured, and how many there were; none when that could not be found out.
type Measured = (Instant, Option<u64>);

/// Measures it; one task at a time.
#[derive(Clone, Default)]
pub(crate) struct WaitingErrors {
    newest: Arc<Mutex<Option<Measured>>>,
}

impl WaitingErrors {
    /// How many there are; none when log or warehouse do not answer.
    pub async fn errors(&self, dlq: &Dlq) -> Option<u64> {
        let mut newest = self.newest.lock().await;
        if let Some((measured_at, errors)) = *newest
            && measured_at.elapsed() < FRESH
        {
            return errors;
        }
        let dlq = dlq.clone();
        let measured = tokio::task::spawn_blocking(move || role::waiting(&dlq)).await;
        let errors = match measured {
            Ok(Ok(errors)) => Some(errors),
            Ok(Err(error)) => {
                tracing::debug!(%error, "the errors that wait cannot be counted now");
                None
            }
            Err(_) => None,
        };
        *newest = Some((Instant::now(), errors));
        errors
    }
}
