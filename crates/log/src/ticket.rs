//! The promise that an append will be durable.

use tokio::sync::oneshot;

use crate::LogError;

/// Resolves when the records are durable. Dropping it does not undo the append.
#[derive(Debug)]
#[must_use = "records are only durable once the ticket says so"]
pub struct AppendTicket(oneshot::Receiver<Result<(), LogError>>);

/// The other end of an [`AppendTicket`].
pub(crate) struct AppendReply(oneshot::Sender<Result<(), LogError>>);

impl AppendTicket {
    pub(crate) fn new() -> (AppendReply, AppendTicket) {
        let (sender, receiver) = oneshot::channel();
        (AppendReply(sender), AppendTicket(receiver))
    }

    /// Waits on the current thread. Not for async code.
    ///
    /// # Errors
    /// Why the records are not in the log.
    pub fn wait(self) -> Result<(), LogError> {
        self.0.blocking_recv().unwrap_or(Err(LogError::Closed))
    }

    /// Waits without holding a thread.
    ///
    /// # Errors
    /// Why the records are not in the log.
    pub async fn durable(self) -> Result<(), LogError> {
        self.0.await.unwrap_or(Err(LogError::Closed))
    }
}

impl AppendReply {
    pub(crate) fn send(self, outcome: Result<(), LogError>) {
        // The caller no longer waits: the records are in the log anyway.
        let _ = self.0.send(outcome);
    }
}
