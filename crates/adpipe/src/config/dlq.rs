//! Section `[dlq]`.

use adpipe_dlq::DlqSettings;
use adpipe_event::{ErrorType, FieldMap};
use serde::{Deserialize, Serialize};

use super::{ConfigError, Span, StreamSettings};

/// Section `[dlq]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DlqConfig {
    pub retryable: Vec<String>,
    pub base_backoff: Span,
    pub max_backoff: Span,
    pub max_retries: u32,
    pub retries_per_second: u32,
    pub lease: Span,
    pub pause_share: f64,
    pub pause: Span,
    pub canary: u32,
    pub canary_share: f64,
    pub keep_resolved: Span,
    pub keep_discarded: Span,
}

impl Default for DlqConfig {
    fn default() -> DlqConfig {
        let settings = DlqSettings::default();
        DlqConfig {
            retryable: settings.retryable.iter().map(|name| name.as_str().to_owned()).collect(),
            base_backoff: Span(settings.base_backoff),
            max_backoff: Span(settings.max_backoff),
            max_retries: settings.max_retries,
            retries_per_second: settings.retries_per_second,
            lease: Span(settings.lease),
            pause_share: settings.breaker_share,
            pause: Span(settings.breaker_pause),
            canary: settings.canary,
            canary_share: settings.canary_share,
            keep_resolved: Span(settings.keep_resolved),
            keep_discarded: Span(settings.keep_discarded),
        }
    }
}

impl DlqConfig {
    /// As the queue takes it.
    pub fn settings(&self, stream: &StreamSettings, fields: &FieldMap) -> Result<DlqSettings, ConfigError> {
        let wrong = |key, message: String| ConfigError::Key { key, message };
        let mut retryable = Vec::new();
        for name in &self.retryable {
            retryable.push(name.parse::<ErrorType>().map_err(|message| wrong("dlq.retryable", message))?);
        }
        for (key, share) in [("dlq.pause_share", self.pause_share), ("dlq.canary_share", self.canary_share)] {
            if !(0.0..=1.0).contains(&share) {
                return Err(wrong(key, format!("{share} is not a share; write a number from 0 to 1")));
            }
        }
        if self.retries_per_second == 0 {
            return Err(wrong("dlq.retries_per_second", "must be at least 1".to_owned()));
        }
        Ok(DlqSettings {
            retryable,
            base_backoff: self.base_backoff.0,
            max_backoff: self.max_backoff.0,
            max_retries: self.max_retries,
            retries_per_second: self.retries_per_second,
            lease: self.lease.0,
            breaker_share: self.pause_share,
            breaker_pause: self.pause.0,
            max_future: stream.max_future.0,
            fields: fields.clone(),
            canary: self.canary,
            canary_share: self.canary_share,
            keep_resolved: self.keep_resolved.0,
            keep_discarded: self.keep_discarded.0,
            ..DlqSettings::default()
        })
    }
}
