//! Waiting out a log or warehouse that cannot be reached: paused, probed, never busy-looped.

use std::time::Duration;

use crate::shutdown::Shutdown;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A circuit breaker for one dependency. Open, it lets one probe through after each pause.
#[derive(Debug)]
pub struct Breaker {
    what: &'static str,
    pause: Duration,
    is_open: bool,
}

impl Breaker {
    /// A closed one, for what is named: "the warehouse".
    pub fn new(what: &'static str) -> Breaker {
        Breaker { what, pause: FIRST_PAUSE, is_open: false }
    }

    /// Notes a failure that may pass and pauses before the next probe. Says so once, not each time.
    pub fn failed(&mut self, error: &dyn std::fmt::Display, shutdown: &Shutdown) {
        if !self.is_open {
            tracing::warn!(%error, "{} cannot be used; pausing and probing until it can", self.what);
            self.is_open = true;
        } else {
            tracing::debug!(%error, pause = ?self.pause, "{} still cannot be used", self.what);
        }
        shutdown.sleep(self.pause);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }

    /// Notes a success.
    pub fn succeeded(&mut self) {
        if self.is_open {
            tracing::info!("{} works again; going on", self.what);
        }
        *self = Breaker::new(self.what);
    }
}
