//! One switch that ends everything.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Handed to every thread; clones share the switch. Once on, it stays on.
#[derive(Debug, Clone, Default)]
pub struct Shutdown(Arc<(Mutex<bool>, Condvar)>);

impl Shutdown {
    /// A switch that is off.
    pub fn new() -> Shutdown {
        Shutdown::default()
    }

    /// Asks everybody to end.
    pub fn trigger(&self) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0.1.notify_all();
    }

    /// True once asked to end.
    pub fn is_triggered(&self) -> bool {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sleeps, but wakes up at once when asked to end. True when it was.
    pub fn sleep(&self, duration: Duration) -> bool {
        let asked = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (asked, _) = self
            .0
            .1
            .wait_timeout_while(asked, duration, |asked| !*asked)
            .unwrap_or_else(PoisonError::into_inner);
        *asked
    }
}
