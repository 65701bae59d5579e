//! `adpipe alerts …`.

use std::time::Duration;

use adpipe_runtime::span::duration;
use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCandidates;

use crate::completion;

#[derive(Args)]
pub struct AlertsArgs {
    #[command(subcommand)]
    pub action: AlertsAction,
}

#[derive(Subcommand)]
pub enum AlertsAction {
    /// List the alerts that are pending or firing
    #[command(after_help = "\
Examples:
  adpipe alerts list
  adpipe alerts list --json | jq '.[] | select(.state == \"firing\") | .summary'")]
    List(ListArgs),

    /// List the alerts that fired, and when they resolved
    #[command(after_help = "\
Examples:
  adpipe alerts history
  adpipe alerts history --since 30d")]
    History(HistoryArgs),

    /// Measure now, and report what fires and since when
    #[command(after_help = "\
While `adpipe up` or `adpipe run monitor` runs, this command only reports. If neither runs, it does
the monitor's work once: it measures until each pending alert fires or recovers, stores the result
and sends notifications. So it is enough to run it on a schedule.

Exit code 0 if it could do its work, whatever fires; 1 if it could not, if something fires and no
webhook is set, and with --fail whenever something fires.

Examples:
  adpipe alerts check
  adpipe alerts check --signal dlq --signal error_share
  adpipe alerts check --rule DlqExhausted --fail")]
    Check(CheckArgs),

    /// Print the table of alerts as rules for Prometheus
    #[command(after_help = "\
Example: adpipe alerts rules > /etc/prometheus/adpipe_alert_rules.yml")]
    Rules(RulesArgs),

    /// Acknowledge an alert: no further notifications until it resolves
    #[command(after_help = "\
Examples:
  adpipe alerts ack DlqExhausted --note 'the new format of site 42; repairing'
  adpipe alerts ack 0193f1c2-…")]
    Ack(AckArgs),

    /// Show alerts but do not send them, for a while
    #[command(after_help = "\
Examples:
  adpipe alerts silence ThroughputLow --for 2h --comment 'the feed is being moved'
  adpipe alerts silence DagFailed --label dag=dag_dbt_run --for 1d
  adpipe alerts silence --all --for 30m --comment maintenance")]
    Silence(SilenceArgs),

    /// End a silence now
    #[command(after_help = "Example: adpipe alerts unsilence 0193f1c2-…")]
    Unsilence(UnsilenceArgs),

    /// List current and future silences
    #[command(after_help = "Example: adpipe alerts silences")]
    Silences(ListArgs),

    /// Post a test message to Slack and print its answer; exit code 1 if Slack refuses it
    #[command(after_help = "Example: adpipe alerts test-notify")]
    TestNotify,

    /// Print the daily summary that is sent to Slack
    #[command(after_help = "\
Examples:
  adpipe alerts summary
  adpipe alerts summary --date 2026-01-31 --json
  adpipe alerts summary --send    also post it to Slack")]
    Summary(SummaryArgs),
}

#[derive(Args)]
pub struct SummaryArgs {
    /// The day, in the time zone of config/slack_config.json [default: yesterday]
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub date: Option<jiff::civil::Date>,

    /// Print text; this is the default
    #[arg(long, conflicts_with = "json")]
    pub text: bool,

    /// Print the figures as JSON
    #[arg(long)]
    pub json: bool,

    /// Post it to Slack; exit code 1 if Slack refuses it
    #[arg(long)]
    pub send: bool,
}

#[derive(Args)]
pub struct ListArgs {
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct HistoryArgs {
    /// Alerts that fire, or resolved within this time
    #[arg(long, default_value = "7d", value_name = "TIME", value_parser = duration)]
    pub since: Duration,

    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct CheckArgs {
    /// Only alerts on these signals; "dlq" means all signals that begin with dlq_
    #[arg(long, value_name = "SIGNAL", value_delimiter = ',')]
    pub signal: Vec<String>,

    /// Only these alerts
    #[arg(
        long,
        value_name = "NAME",
        value_delimiter = ',',
        add = ArgValueCandidates::new(completion::alerts)
    )]
    pub rule: Vec<String>,

    /// Exit code 1 if something fires
    #[arg(long)]
    pub fail: bool,

    /// Measure once; pending alerts stay pending
    #[arg(long)]
    pub no_wait: bool,

    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct RulesArgs {
    /// Address of the runbook, for links
    #[arg(long, value_name = "URL", default_value = "docs/RUNBOOK.md")]
    pub runbook: String,

    /// Address of Grafana, for links
    #[arg(long, value_name = "URL", default_value = "")]
    pub grafana: String,
}

#[derive(Args)]
pub struct AckArgs {
    /// The alert: its id, the beginning of its id, or its name if it is open only once
    #[arg(value_name = "ALERT", add = ArgValueCandidates::new(completion::alerts))]
    pub alert: String,

    /// A note for others
    #[arg(long, default_value = "", value_name = "TEXT")]
    pub note: String,

    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct SilenceArgs {
    /// The alert's name
    #[arg(
        value_name = "NAME",
        required_unless_present = "all",
        add = ArgValueCandidates::new(completion::alerts)
    )]
    pub rule: Option<String>,

    /// Every alert
    #[arg(long, conflicts_with = "rule")]
    pub all: bool,

    /// Only alerts with this label
    #[arg(long, value_name = "NAME=VALUE")]
    pub label: Vec<String>,

    /// How long
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub lasts: Duration,

    /// Start after this time [default: now]
    #[arg(long = "in", value_name = "TIME", value_parser = duration)]
    pub starts_in: Option<Duration>,

    /// Why
    #[arg(long, default_value = "", value_name = "TEXT")]
    pub comment: String,

    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct UnsilenceArgs {
    /// The silence's id, or the beginning of its id
    #[arg(value_name = "SILENCE")]
    pub silence: String,
}
