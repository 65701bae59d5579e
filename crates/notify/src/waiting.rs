//! Since when the oldest message waits that should be out.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use adpipe_event::Millis;

/// Clones show the same. What is held back on purpose (groups, quiet hours, throttles) does not
/// count as waiting.
#[derive(Debug, Clone, Default)]
pub struct Waiting(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    since: Option<Instant>,
    looks: u64,
    is_idle: bool,
}

impl Waiting {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes since when; measured on from there by a clock that only runs forward.
    pub fn set(&self, due: Option<Millis>) {
        let mut state = self.state();
        match (due, state.since) {
            (None, _) => state.since = None,
            (Some(_), Some(_)) => {}
            (Some(due), None) => {
                let age = Duration::from_millis((Millis::now().0 - due.0).max(0).unsigned_abs());
                state.since = Instant::now().checked_sub(age).or_else(|| Some(Instant::now()));
            }
        }
    }

    /// For how long; none when nothing waits.
    pub fn age(&self) -> Option<Duration> {
        self.state().since.map(|since| since.elapsed())
    }

    /// The sender has looked at everything, and left nothing that could be sent by now.
    pub fn looked(&self, is_idle: bool) {
        let mut state = self.state();
        state.looks += 1;
        state.is_idle = is_idle;
    }

    /// How often it has.
    pub fn looks(&self) -> u64 {
        self.state().looks
    }

    /// What it found the last time.
    pub fn is_idle(&self) -> bool {
        self.state().is_idle
    }
}
