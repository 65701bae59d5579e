//! Whether the warehouse answers, asked on a thread of its own: an attempt to reach a dead server
//! may take long, and nobody else should wait for it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The warehouse's newest answer. Clones show the same.
#[derive(Clone)]
pub struct Pulse {
    answered: Arc<Mutex<Instant>>,
}

impl Pulse {
    /// One that answered just now.
    pub fn new() -> Pulse {
        Pulse { answered: Arc::new(Mutex::new(Instant::now())) }
    }

    /// Time since the warehouse answered.
    pub fn silent_for(&self) -> Duration {
        self.answered.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// Notes an answer.
    pub fn answered(&self) {
        *self.answered.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

impl Default for Pulse {
    fn default() -> Pulse {
        Pulse::new()
    }
}
