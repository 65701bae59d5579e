//! `adpipe config show`.

use crate::config::Config;
use crate::output;

/// Prints what is in force, secrets hidden.
pub fn show(config: &Config, json: bool) -> anyhow::Result<()> {
    let shown = config.redacted();
    if json {
        return output::json(&serde_json::to_value(shown)?);
    }
    output::line(toml::to_string_pretty(&shown)?.trim_end())?;
    let token = match std::env::var_os("ADPIPE_CONSOLE__TOKEN") {
        Some(_) => "# console token: set by ADPIPE_CONSOLE__TOKEN (hidden)",
        None if config.console.token_file.is_empty() => "# console token: none",
        None => "# console token: read from console.token_file (hidden)",
    };
    output::line(token)?;
    let webhook = match std::env::var_os(adpipe_notify::webhook::VARIABLE) {
        Some(_) => "# slack webhook: set by ADPIPE_NOTIFY__SLACK_WEBHOOK (hidden)",
        None if config.notify.webhook_file.is_empty() => "# slack webhook: none",
        None => "# slack webhook: read from notify.webhook_file (hidden)",
    };
    output::line(webhook)
}
