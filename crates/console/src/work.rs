//! Work that may wait for a database or the disk: away from the sockets, a few at a time, the rest
//! in turn. Every connection and every large answer in the making belongs to one of these few.

use std::sync::Arc;
use std::time::Duration;

use adpipe_ingest::http::Refusal;
use tokio::sync::Semaphore;

/// Requests running at the same time: half of the connections that readers of a database share, so that
/// the other roles of this process always find one.
const AT_WORK: usize = 4;

/// How long a request waits for its turn.
const LONGEST_TURN_WAIT: Duration = Duration::from_secs(3);

/// The places at which requests are worked on.
#[derive(Clone)]
pub(crate) struct Work {
    places: Arc<Semaphore>,
}

impl Work {
    pub fn new() -> Work {
        Work { places: Arc::new(Semaphore::new(AT_WORK)) }
    }

    /// Runs `work` when it is its turn.
    ///
    /// # Errors
    /// 503 when too many others are before it.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let turn = tokio::time::timeout(LONGEST_TURN_WAIT, Arc::clone(&self.places).acquire_owned()).await;
        let place = turn
            .map_err(|_| Refusal::crowded("the console is busy with other requests; try again shortly"))?
            .map_err(|error| Refusal::internal(&error))?;
        // The place belongs to the work, which continues when its client is gone.
        let worked = tokio::task::spawn_blocking(move || {
            let _place = place;
            work()
        });
        worked.await.map_err(|error| Refusal::internal(&error))
    }
}
