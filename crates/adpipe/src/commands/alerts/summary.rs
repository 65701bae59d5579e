//! `adpipe alerts summary`.

use std::process::ExitCode;

use adpipe_event::Millis;
use adpipe_notify::message::{plain_summary, render};
use adpipe_notify::plan::Content;
use adpipe_notify::summary::read;
use jiff::ToSpan;

use super::test_notify::{HOW_TO_SET, post};
use crate::cli::alerts::SummaryArgs;
use crate::config::Config;
use crate::services::Services;
use crate::{notify, output};

/// Prints a day's summary, or posts it.
pub fn run(config: Config, args: &SummaryArgs) -> anyhow::Result<ExitCode> {
    let slack = notify::slack_config(&config)?;
    let style = notify::style(&config)?;
    let webhook = if args.send {
        match notify::webhook(&config)? {
            Some(webhook) => Some(webhook),
            None => {
                output::note(HOW_TO_SET);
                return Ok(ExitCode::FAILURE);
            }
        }
    } else {
        None
    };
    let day = match args.date {
        Some(day) => day,
        None => slack.time_zone.local(Millis::now()).date().checked_sub(1.day())?,
    };
    let services = Services::open_existing(config)?;
    let summary = read(services.warehouse.as_ref(), day, &slack.time_zone)?;
    if args.json {
        output::json(&serde_json::to_value(&summary)?)?
    } else {
        output::line(&plain_summary(&summary, &style))?
    }
    let Some(webhook) = webhook else { return Ok(ExitCode::SUCCESS) };
    let message = render(&Content::Summary(Box::new(summary)), &style, Millis::now());
    post(webhook, &message)
}
