//! How the queue works.

use std::time::Duration;

use adpipe_event::{ErrorType, FieldMap};

/// Settings of the queue; `adpipe.toml` explains each.
#[derive(Debug, Clone)]
pub struct DlqSettings {
    /// Types that are retried automatically; the others need a decision.
    pub retryable: Vec<ErrorType>,
    /// First pause before an attempt.
    pub base_backoff: Duration,
    /// Longest pause.
    pub max_backoff: Duration,
    /// Tries before an error is exhausted.
    pub max_retries: u32,
    /// Retries sent a second, by one process.
    pub retries_per_second: u32,
    /// How long a sent retry may go without an outcome before its sender is taken for dead.
    pub lease: Duration,
    /// Automatic retries pause when more than this share of the newest of them failed.
    pub breaker_share: f64,
    /// How many of the newest attempts are looked at, and for how long they count.
    pub breaker_tries: u32,
    /// How long they count, and so how long a pause lasts.
    pub breaker_pause: Duration,
    /// How far ahead of the clock an event's time may be: the stream processor's rule.
    pub max_future: Duration,
    /// Which fields of the input give those of an event: the stream processor's, too.
    pub fields: FieldMap,
    /// Errors tried first when a bulk action begins with a canary.
    pub canary: u32,
    /// Share of them that must succeed for it to continue.
    pub canary_share: f64,
    /// How long resolved errors are kept.
    pub keep_resolved: Duration,
    /// How long discarded errors are kept.
    pub keep_discarded: Duration,
}

impl Default for DlqSettings {
    fn default() -> DlqSettings {
        DlqSettings {
            retryable: vec![ErrorType::Future, ErrorType::Sink],
            base_backoff: Duration::from_secs(1),
            max_backoff: Duration::from_secs(300),
            max_retries: 5,
            retries_per_second: 2_000,
            lease: Duration::from_secs(60),
            breaker_share: 0.5,
            breaker_tries: 50,
            breaker_pause: Duration::from_secs(60),
            max_future: Duration::from_secs(3_600),
            fields: FieldMap::default(),
            canary: 20,
            canary_share: 0.95,
            keep_resolved: Duration::from_secs(30 * 86_400),
            keep_discarded: Duration::from_secs(90 * 86_400),
        }
    }
}

impl DlqSettings {
    /// Whether errors of this type are tried again by themselves.
    pub fn is_retryable(&self, error_type: ErrorType) -> bool {
        self.retryable.contains(&error_type)
    }
}
