//! Puts the notifier together out of the configuration.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use adpipe_notify::config::SlackConfig;
use adpipe_notify::message::Style;
use adpipe_notify::webhook::{VARIABLE, Webhook};
use adpipe_notify::{Notifier, NotifierOptions, NotifyError, POLL};
use adpipe_runtime::{Shutdown, Span};
use anyhow::Context;

use crate::config::{Config, ConfigError, DEFAULT_SLACK_CONFIG};
use crate::services::Services;

/// `config/slack_config.json`, or the file that replaces it. One that is configured by name must exist.
pub fn slack_config(config: &Config) -> anyhow::Result<SlackConfig> {
    let file = &config.notify.config_file;
    let path = Path::new(file);
    if file != DEFAULT_SLACK_CONFIG && !path.exists() {
        let message = format!("{file} does not exist; {DEFAULT_SLACK_CONFIG} shows every key of such a file");
        return Err(ConfigError::Key { key: "notify.config_file", message }.into());
    }
    Ok(SlackConfig::load(path, &crate::alerts::rules(config)?)?)
}

/// The webhook, from the environment or from its file.
pub fn webhook(config: &Config) -> Result<Option<Webhook>, NotifyError> {
    let variable = std::env::var(VARIABLE).ok();
    Webhook::find(variable.as_deref(), &config.notify.webhook_file)
}

/// Fails if the configuration of messages is not valid.
pub fn check(config: &Config) -> anyhow::Result<()> {
    slack_config(config)?;
    webhook(config)?;
    Ok(())
}

/// How messages look.
pub fn style(config: &Config) -> anyhow::Result<Style> {
    Style::new(&slack_config(config)?, &config.alerts.console_url)
        .context("cannot read the texts of messages")
}

/// Starts the notifier, for the monitor's role.
pub fn start(services: &Services, shutdown: &Shutdown) -> anyhow::Result<Notifier> {
    let options = NotifierOptions { warehouse: Some(Arc::clone(&services.warehouse)), ..options(services)? };
    Ok(Notifier::start(options, shutdown)?)
}

/// Starts a notifier for a single check: it sends at once, and has no daily summary.
pub fn start_once(services: &Services, shutdown: &Shutdown) -> anyhow::Result<Notifier> {
    let mut options = options(services)?;
    options.config.group_wait = Span(Duration::ZERO);
    options.poll = Duration::from_millis(50);
    Ok(Notifier::start(options, shutdown)?)
}

fn options(services: &Services) -> anyhow::Result<NotifierOptions> {
    let config = &services.config;
    Ok(NotifierOptions {
        config: slack_config(config)?,
        rules: crate::alerts::rules(config)?,
        webhook: webhook(config)?,
        spool: PathBuf::from(&config.notify.spool),
        console_url: config.alerts.console_url.clone(),
        warehouse: None,
        metrics: services.metrics.clone(),
        poll: POLL,
    })
}

/// In one line, who is notified.
pub fn described(config: &Config) -> anyhow::Result<String> {
    Ok(match webhook(config)? {
        Some(webhook) => format!("alerts go to {webhook}"),
        None => format!(
            "alerts show in the console only; nothing is sent to Slack, because {VARIABLE} is not set"
        ),
    })
}
