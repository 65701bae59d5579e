//! `adpipe alerts`: list (`list.rs`), measure (`check.rs`), acknowledge and silence (`people.rs`), test
//! notifications (`test_notify.rs`), summarize a day (`summary.rs`).

mod check;
mod list;
mod people;
mod summary;
mod test_notify;

pub(crate) use check::errors_of;

use std::process::ExitCode;
use std::sync::Arc;

use adpipe_event::Millis;
use adpipe_monitor::prometheus_rules::{Links, rule_file};
use adpipe_monitor::rules::{Language, Rules};
use adpipe_monitor::store::{Alert, Silence};
use adpipe_monitor::unit::format_duration;
use adpipe_warehouse::Warehouse;

use crate::cli::alerts::{AlertsAction, RulesArgs};
use crate::config::Config;
use crate::output;
use crate::services::Services;
use crate::warehouse_place::WarehousePlace;

/// What most actions work with.
struct Desk {
    rules: Rules,
    warehouse: Arc<dyn Warehouse>,
}

impl Desk {
    fn open(config: &Config) -> anyhow::Result<Desk> {
        let rules = crate::alerts::rules(config)?;
        let place = WarehousePlace::of(config)?;
        place.must_have_data()?;
        Ok(Desk { rules, warehouse: Services::open_warehouse(config)? })
    }
}

/// Runs the command.
pub fn run(config: Config, action: &AlertsAction) -> anyhow::Result<ExitCode> {
    let done = |()| ExitCode::SUCCESS;
    match action {
        AlertsAction::Rules(args) => rules(&config, args).map(done),
        AlertsAction::Check(args) => check::run(config, args),
        AlertsAction::List(args) => list::open(&Desk::open(&config)?, args.json).map(done),
        AlertsAction::History(args) => list::history(&Desk::open(&config)?, args).map(done),
        AlertsAction::Ack(args) => people::acknowledge(&Desk::open(&config)?, args).map(done),
        AlertsAction::Silence(args) => people::silence(&Desk::open(&config)?, args).map(done),
        AlertsAction::Unsilence(args) => people::unsilence(&Desk::open(&config)?, args).map(done),
        AlertsAction::Silences(args) => people::silences(&Desk::open(&config)?, args.json).map(done),
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

/// What is wrong, in a sentence; if the rule is no longer in the table, its name.
fn sentence(rules: &Rules, alert: &Alert) -> String {
    match rules.find(&alert.rule) {
        Some(rule) => rule.summary(Language::English, &alert.labels, alert.value),
        None => alert.rule.clone(),
    }
}

fn is_silenced(silences: &[Silence], alert: &Alert, now: Millis) -> bool {
    silences.iter().any(|silence| silence.lasts_at(now) && silence.is_about(&alert.rule, &alert.labels))
}

/// An alert with what is not in its row.
fn as_json(rules: &Rules, silences: &[Silence], alert: &Alert) -> anyhow::Result<serde_json::Value> {
    let mut value = serde_json::to_value(alert)?;
    value["summary"] = sentence(rules, alert).into();
    value["is_silenced"] = is_silenced(silences, alert, Millis::now()).into();
    Ok(value)
}

/// `2026-01-31 12:00:00`.
fn shown(time: Millis) -> String {
    time.to_string().chars().take(19).collect()
}

/// How long a while is, from one time to another.
fn lasted(from: Millis, to: Millis) -> String {
    format_duration(Language::English, ((to.0 - from.0).max(0) / 1_000) as f64)
}
