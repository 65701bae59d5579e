//! Errors that wait in `ad_events_error` until they are stored: no list has them yet.

use std::time::{Duration, Instant};

use adpipe_dlq::{Dlq, role};

use crate::output;
use crate::services::Services;

/// How long a command may store waiting errors before it continues without the rest.
const STORING: Duration = Duration::from_secs(60);

/// How long the process that keeps the queue is given: it needs a fraction of a second.
const GRACE: Duration = Duration::from_secs(3);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Errors that are in the log and not in the queue.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    pub errors: u64,
    /// Whether another process keeps the queue and will store them.
    pub has_keeper: bool,
}

impl Waiting {
    /// What is to be said about them; nothing when none wait.
    pub fn words(self) -> Option<String> {
        let counted = output::counted(self.errors, "error");
        match (self.errors, self.has_keeper) {
            (0, _) => None,
            (_, true) => Some(format!(
                "{counted} in the log not stored yet; the process that keeps the queue is storing them"
            )),
            (_, false) => Some(format!(
                "{counted} in the log not stored yet; `adpipe up` or `adpipe run dlq` stores them"
            )),
        }
    }
}

/// Stores waiting errors if no other process keeps the queue, otherwise waits a moment for that
/// process. Gives what still waits.
pub fn store(services: &Services, dlq: &Dlq) -> anyhow::Result<Waiting> {
    let errors = role::waiting(dlq)?;
    if errors == 0 {
        return Ok(Waiting::default());
    }
    let Some(_role) = services.take_vacant_dlq_role()? else {
        return Ok(Waiting { errors: until_stored(dlq)?, has_keeper: true });
    };
    output::note(&format!("storing {} that waited in the log", output::counted(errors, "error")));
    // Ctrl-C ends the process: each batch is one transaction.
    let left = role::store_waiting(dlq, STORING)?;
    Ok(Waiting { errors: left, has_keeper: false })
}

fn until_stored(dlq: &Dlq) -> anyhow::Result<u64> {
    let started = Instant::now();
    loop {
        let errors = role::waiting(dlq)?;
        if errors == 0 || started.elapsed() >= GRACE {
            return Ok(errors);
        }
        std::thread::sleep(LOOK_EVERY);
    }
}
