//! `adpipe config show`.

use crate::config::Config;
use crate::output;

/// Prints what is in force. Secrets are not part of it: they come from the environment or a file.
pub fn show(config: &Config, json: bool) -> anyhow::Result<()> {
    // A URL from the environment may hold a password.
    let mut shown = config.clone();
    shown.warehouse.url = adpipe_warehouse::postgres::masked(&config.warehouse.url);
    if json {
        return output::json(&serde_json::to_value(&shown)?);
    }
    output::line(toml::to_string_pretty(&shown)?.trim_end())?;
    let token = match std::env::var_os("ADPIPE_CONSOLE__TOKEN") {
        Some(_) => "# console token: set by ADPIPE_CONSOLE__TOKEN (hidden)",
        None if config.console.token_file.is_empty() => "# console token: none",
        None => "# console token: read from console.token_file (hidden)",
    };
    output::line(token)
}
