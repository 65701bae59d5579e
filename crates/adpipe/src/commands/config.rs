//! `adpipe config show`.

use crate::config::Config;
use crate::output;

/// Prints what is in force and where it comes from, secrets hidden.
pub fn show(config: &Config, json: bool) -> anyhow::Result<()> {
    let shown = config.redacted();
    if json {
        let mut value = serde_json::to_value(shown)?;
        let origins = config.origins.iter().map(|(key, origin)| (key.to_owned(), origin.to_string().into()));
        value["origins"] = serde_json::Value::Object(origins.collect());
        return output::json(&value);
    }
    output::line(&with_origins(config, &toml::to_string_pretty(&shown)?))?;
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

/// The configuration as TOML, with a comment after each key that says what set it.
fn with_origins(config: &Config, text: &str) -> String {
    let mut section = String::new();
    let mut lines = Vec::new();
    for line in text.trim_end().lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.to_owned();
        }
        // Of a list over several lines, the first one.
        let is_inner = line.starts_with([' ', ']', '[', '#']) || line.ends_with("\"\"\"");
        match line.split_once(" = ").filter(|_| !is_inner) {
            Some((key, _)) => {
                let key = format!("{section}.{}", key.trim_matches('"'));
                let origin = config.origins.get(&key).map_or("default".to_owned(), ToString::to_string);
                lines.push(format!("{line}  # {origin}"));
            }
            None => lines.push(line.to_owned()),
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Origin;

    #[test]
    fn every_key_says_what_set_it_and_the_rest_is_still_toml() {
        let mut config = Config::default();
        config.origins.set("console.port", Origin::Variable("ADPIPE_CONSOLE__PORT".to_owned()));
        let plain = toml::to_string_pretty(&config).unwrap();
        let shown = with_origins(&config, &plain);
        assert!(shown.contains("\nport = 8088  # ADPIPE_CONSOLE__PORT\n"), "{shown}");
        assert!(shown.contains("\nurl = \"sqlite:data\"  # default\n"), "{shown}");
        assert_eq!(shown.parse::<toml::Table>().unwrap(), plain.parse::<toml::Table>().unwrap());
        assert_eq!(shown.matches("  # ").count(), keys(&plain.parse().unwrap()));
    }

    /// How many keys a table and those within it have; some tables have none.
    fn keys(table: &toml::Table) -> usize {
        table.values().map(|value| value.as_table().map_or(1, keys)).sum()
    }
}
