//! `[notify]`: what is sent to Slack. The webhook's address is a secret, not a key.

use serde::{Deserialize, Serialize};

/// Where Slack's settings are looked for when nothing is configured, and need not be.
pub const DEFAULT_SLACK_CONFIG: &str = "config/slack_config.json";

/// Section `[notify]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NotifyConfig {
    pub config_file: String,
    pub spool: String,
    pub webhook_file: String,
}

impl Default for NotifyConfig {
    fn default() -> NotifyConfig {
        NotifyConfig {
            config_file: DEFAULT_SLACK_CONFIG.to_owned(),
            spool: "data/notifications".to_owned(),
            webhook_file: String::new(),
        }
    }
}
