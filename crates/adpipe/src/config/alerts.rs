//! Section `[alerts]`.

use adpipe_runtime::Span;
use serde::{Deserialize, Serialize};

use super::error::ConfigError;

/// Where the table of alerts is looked for when nothing is configured, and need not be.
pub const DEFAULT_RULES_FILE: &str = "config/alerts.toml";

/// Section `[alerts]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlertsConfig {
    pub rules_file: String,
    pub every: Span,
    pub console_url: String,
    pub keep: Span,
}

impl Default for AlertsConfig {
    fn default() -> AlertsConfig {
        AlertsConfig {
            rules_file: DEFAULT_RULES_FILE.to_owned(),
            every: Span::milliseconds(15_000),
            console_url: String::new(),
            keep: Span::days(90),
        }
    }
}

impl AlertsConfig {
    /// Fails on values that are readable but cannot work.
    pub fn check(&self) -> Result<(), ConfigError> {
        let wrong = |key, message: &str| Err(ConfigError::Key { key, message: message.to_owned() });
        if self.every.0.is_zero() {
            return wrong("alerts.every", "must be more than zero");
        }
        if self.rules_file.is_empty() {
            return wrong("alerts.rules_file", "write the name of a file, such as \"config/alerts.toml\"");
        }
        let is_url = ["http://", "https://"].iter().any(|scheme| self.console_url.starts_with(scheme));
        if !self.console_url.is_empty() && !is_url {
            return wrong("alerts.console_url", "write an address such as \"https://adpipe.example.com\"");
        }
        Ok(())
    }
}
