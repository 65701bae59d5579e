//! `adpipe alerts test-notify`.

use std::process::ExitCode;

use adpipe_event::Millis;
use adpipe_notify::client::{Answer, Client, advice};
use adpipe_notify::webhook::{VARIABLE, Webhook};
use serde_json::Value;

use crate::config::Config;
use crate::{notify, output};

/// Said where no webhook is set.
pub const HOW_TO_SET: &str = "\
no webhook is set, so nothing is sent to Slack. To set one:
  1. in Slack: https://api.slack.com/apps, your app, Incoming Webhooks, Add New Webhook, choose the channel
  2. put its address into a file that only adpipe can read, and name the file in adpipe.toml:
       [notify]
       webhook_file = \"/run/secrets/slack_webhook\"
     or into the variable ADPIPE_NOTIFY__SLACK_WEBHOOK
  3. adpipe alerts test-notify";

/// Says what it sends and where, sends it, and says what Slack said.
pub fn run(config: &Config) -> anyhow::Result<ExitCode> {
    let slack = notify::slack_config(config)?;
    let Some(webhook) = notify::webhook(config)? else {
        output::note(HOW_TO_SET);
        return Ok(ExitCode::FAILURE);
    };
    let from = match std::env::var_os(VARIABLE) {
        Some(_) => VARIABLE.to_owned(),
        None => format!("notify.webhook_file, {}", config.notify.webhook_file),
    };
    output::line(&format!("sends a test message to {} ({webhook}, from {from})", webhook.host()))?;
    output::line(&format!(
        "{} says that this is {}; a webhook posts to the channel it was made for",
        config.notify.config_file, slack.channel
    ))?;
    let message = adpipe_notify::message::test(&notify::style(config)?, &host_name(), Millis::now());
    post(webhook, &message)
}

/// Posts a message at once and prints Slack's answer.
pub fn post(webhook: Webhook, message: &Value) -> anyhow::Result<ExitCode> {
    match Client::new(webhook)?.post(&message.to_string()) {
        Answer::Taken => {
            output::line("Slack took it")?;
            return Ok(ExitCode::SUCCESS);
        }
        Answer::Wait(time) => {
            output::note(&format!(
                "Slack asks to wait {} s: too many messages went to this webhook; try again then",
                time.as_secs()
            ));
        }
        Answer::Later(reason) => output::note(&format!(
            "Slack did not accept it: {reason}\ncheck that this machine can reach the address (HTTPS_PROXY \
             names a proxy), and https://slack-status.com"
        )),
        Answer::Refused(reason) => output::note(&format!("Slack refuses it: {reason}\n{}", advice(&reason))),
    }
    Ok(ExitCode::FAILURE)
}

fn host_name() -> String {
    let named = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match named.trim() {
        "" => std::env::var("HOSTNAME").unwrap_or_else(|_| "this machine".to_owned()),
        name => name.to_owned(),
    }
}
