//! Waiting out a log or warehouse that cannot be reached: paused, probed, never busy-looped.

use std::time::Duration;

use crate::Shutdown;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Pauses between attempts, each twice as long as the previous one, up to five seconds.
#[derive(Debug)]
pub struct Backoff {
    what: &'static str,
    pause: Duration,
    is_failing: bool,
}

impl Backoff {
    /// For what is named: "the warehouse".
    pub fn new(what: &'static str) -> Backoff {
        Backoff { what, pause: FIRST_PAUSE, is_failing: false }
    }

    /// Notes a failure that may pass and pauses before the next probe. Says so once, not each time.
    pub fn failed(&mut self, error: &dyn std::fmt::Display, shutdown: &Shutdown) {
        if !self.is_failing {
            tracing::warn!(%error, "{} cannot be used; pausing and probing until it can", self.what);
            self.is_failing = true;
        } else {
            tracing::debug!(%error, pause = ?self.pause, "{} still cannot be used", self.what);
        }
        shutdown.sleep(self.pause);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }

    /// Notes a success.
    pub fn succeeded(&mut self) {
        if self.is_failing {
            tracing::info!("{} works again; continuing", self.what);
        }
        *self = Backoff::new(self.what);
    }
}
