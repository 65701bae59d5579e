//! `adpipe alerts`: look (`list.rs`), measure (`check.rs`), take on and silence (`ack_silence.rs`),
//! try how ack_silence are told (`test_notify.rs`), look at a day (`summary.rs`).

mod access;
mod ack_silence;
mod check;
mod list;
mod summary;
mod test_notify;
mod text;

use std::process::ExitCode;

use adpipe_monitor::prometheus_rules::{Links, rule_file};

use crate::cli::alerts::{AlertsAction, RulesArgs};
use crate::config::Config;
use crate::output;
use access::AlertAccess;

pub fn run(config: Config, action: &AlertsAction) -> anyhow::Result<ExitCode> {
    let done = |()| ExitCode::SUCCESS;
    match action {
        AlertsAction::Rules(args) => rules(&config, args).map(done),
        AlertsAction::Check(args) => check::run(config, args),
        AlertsAction::List(args) => list::open(&AlertAccess::open(&config)?, args.json).map(done),
        AlertsAction::History(args) => list::history(&AlertAccess::open(&config)?, args).map(done),
        AlertsAction::Ack(args) => ack_silence::acknowledge(&AlertAccess::open(&config)?, args).map(done),
        AlertsAction::Silence(args) => ack_silence::silence(&AlertAccess::open(&config)?, args).map(done),
        AlertsAction::Unsilence(args) => ack_silence::unsilence(&AlertAccess::open(&config)?, args).map(done),
        AlertsAction::Silences(args) => {
            ack_silence::silences(&AlertAccess::open(&config)?, args.json).map(done)
        }
        AlertsAction::TestNotify => test_notify::run(&config),
        AlertsAction::Summary(args) => summary::run(config, args),
    }
}

fn rules(config: &Config, args: &RulesArgs) -> anyhow::Result<()> {
    let links = Links {
        runbook: args.runbook.clone(),
        grafana: args.grafana.trim_end_matches('/').to_owned(),
        console: config.alerts.console_url.clone(),
    };
    output::line(rule_file(&crate::alerts::rules(config)?, &links).trim_end_matches('\n'))
}
