//! Puts the notifier together out of the configuration.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use adpipe_monitor::rules::Rules;
use adpipe_notify::config::SlackConfig;
use adpipe_notify::message::Style;
use adpipe_notify::webhook::{VARIABLE, Webhook};
use adpipe_notify::{Notifier, NotifierOptions, NotifyError, POLL};
use adpipe_stream::shutdown::Shutdown;
use anyhow::Context;

use crate::config::{Config, ConfigError, DEFAULT_SLACK_CONFIG};
use crate::services::Services;

/// The table of alerts that is in force.
pub fn alert_rules(_config: &Config) -> anyhow::Result<Rules> {
    Ok(Rules::built_in()?)
}

/// The console's address in links; "" for none.
pub fn console_url(_config: &Config) -> String {
    String::new()
}

/// `config/slack_config.json`, or whatever file stands in its place. One that was asked for by name
/// must be there.
pub fn slack_config(config: &Config) -> anyhow::Result<SlackConfig> {
    let file = &config.notify.config_file;
    let path = Path::new(file);
    if file != DEFAULT_SLACK_CONFIG && !path.exists() {
        let message = format!("{file} is not there; {DEFAULT_SLACK_CONFIG} shows every key of such a file");
        return Err(ConfigError::Key { key: "notify.config_file", message }.into());
    }
    Ok(SlackConfig::load(path, &alert_rules(config)?)?)
}

/// The webhook, from the environment or from its file.
pub fn webhook(config: &Config) -> Result<Option<Webhook>, NotifyError> {
    let variable = std::env::var(VARIABLE).ok();
    Webhook::find(variable.as_deref(), &config.notify.webhook_file)
}

/// How messages look.
pub fn style(config: &Config) -> anyhow::Result<Style> {
    Style::new(&slack_config(config)?, &console_url(config)).context("cannot read the texts of messages")
}

/// Starts the notifier, for the monitor's role: hand `announcer()` to the monitor and `spool_age()`
/// to its figures.
pub fn start(services: &Services, shutdown: &Shutdown) -> anyhow::Result<Notifier> {
    let config = &services.config;
    let options = NotifierOptions {
        config: slack_config(config)?,
        webhook: webhook(config)?,
        spool: PathBuf::from(&config.notify.spool),
        console_url: console_url(config),
        warehouse: Some(Arc::clone(&services.warehouse)),
        metrics: services.metrics.clone(),
        poll: POLL,
    };
    Ok(Notifier::start(options, shutdown)?)
}

/// In a line, who is told.
pub fn described(notifier: &Notifier) -> String {
    match notifier.webhook() {
        Some(webhook) => format!("alerts go to {webhook}"),
        None => format!("alerts: in the console only, no webhook of Slack is set ({VARIABLE})"),
    }
}
