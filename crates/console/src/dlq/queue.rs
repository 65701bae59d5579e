//! The dead-letter queue as handlers reach it: away from the sockets, and not by too many at once.

use std::sync::Arc;

use adpipe_dlq::{Dlq, DlqError};
use adpipe_ingest::http::Refusal;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use tokio::sync::Semaphore;

use crate::answer::{Answers, Asking};

/// Searches without an end of their own (dry runs, counts) under way at the same time.
const LONG_SEARCHES: usize = 2;

#[derive(Clone)]
pub(crate) struct Queue {
    pub dlq: Dlq,
    pub answers: Answers,
    long_searches: Arc<Semaphore>,
}

impl Queue {
    pub fn new(dlq: Dlq, answers: Answers) -> Queue {
        Queue { dlq, answers, long_searches: Arc::new(Semaphore::new(LONG_SEARCHES)) }
    }

    /// Runs `work`, which may wait for the database, away from the sockets.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Dlq) -> Result<T, DlqError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let dlq = self.dlq.clone();
        self.answers.work.run(move || work(&dlq)).await?.map_err(refusal)
    }

    /// The same, and answers with what comes of it.
    pub async fn json<T: Serialize>(
        &self,
        asking: Asking,
        work: impl FnOnce(&Dlq) -> Result<T, DlqError> + Send + 'static,
    ) -> Result<Response, Refusal> {
        let dlq = self.dlq.clone();
        self.answers.json(asking, move || work(&dlq).map_err(refusal)).await
    }

    /// The same for a search that may take seconds; too many at once are refused.
    pub async fn search<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Dlq) -> Result<T, DlqError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let permit = Arc::clone(&self.long_searches)
            .try_acquire_owned()
            .map_err(|_| Refusal::busy("other long searches are running; try again in a moment"))?;
        // It belongs to the work, which continues when its page is closed.
        self.run(move |dlq| {
            let done = work(dlq);
            drop(permit);
            done
        })
        .await
    }
}

pub(super) fn refusal(error: DlqError) -> Refusal {
    match error {
        DlqError::NotFound(message) => Refusal::wrong(StatusCode::NOT_FOUND, message),
        DlqError::Refused(message) | DlqError::Asked(message) => {
            Refusal::wrong(StatusCode::UNPROCESSABLE_ENTITY, message)
        }
        error @ (DlqError::Warehouse(_) | DlqError::Log(_)) => Refusal::unavailable(error.to_string()),
    }
}
