//! `adpipe alerts`.

use clap::{Args, Subcommand};

#[derive(Args)]
pub struct AlertsArgs {
    #[command(subcommand)]
    pub action: AlertsAction,
}

#[derive(Subcommand)]
pub enum AlertsAction {
    /// Post a test message to Slack and print its answer; exit code 1 when it did not take it
    TestNotify,
    /// Print the summary of a day, as Slack gets it every morning
    #[command(after_help = "\
Examples:
  adpipe alerts summary
  adpipe alerts summary --date 2026-01-31 --json
  adpipe alerts summary --send    post it to Slack, too")]
    Summary(AlertsSummaryArgs),
}

#[derive(Args)]
pub struct AlertsSummaryArgs {
    /// The day, in the time zone of config/slack_config.json [default: yesterday]
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub date: Option<jiff::civil::Date>,

    /// Print it as text; the default
    #[arg(long, conflicts_with = "json")]
    pub text: bool,

    /// Print the figures as JSON
    #[arg(long)]
    pub json: bool,

    /// Post it to Slack; exit code 1 when it does not take it
    #[arg(long)]
    pub send: bool,
}
