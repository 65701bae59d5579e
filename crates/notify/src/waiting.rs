//! Since when the oldest message waits that should be out.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use adpipe_event::Millis;

/// Clones show the same. What is held back on purpose (groups, quiet hours, throttles) does not
/// count as waiting.
#[derive(Debug, Clone, Default)]
pub struct Waiting(Arc<Mutex<Option<Instant>>>);

impl Waiting {
    /// Notes since when; measured on from there by a clock that only runs forward.
    pub fn set(&self, due: Option<Millis>) {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match (due, *since) {
            (None, _) => *since = None,
            (Some(_), Some(_)) => {}
            (Some(due), None) => {
                let age = Duration::from_millis((Millis::now().0 - due.0).max(0).unsigned_abs());
                *since = Instant::now().checked_sub(age).or_else(|| Some(Instant::now()));
            }
        }
    }

    /// For how long; none when nothing waits.
    pub fn age(&self) -> Option<Duration> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).map(|since| since.elapsed())
    }
}
