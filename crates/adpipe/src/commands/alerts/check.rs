//! `adpipe alerts check`: the monitor's work for this once, or a report when a monitor does it.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use adpipe_event::Millis;
use adpipe_monitor::pulse::Pulse;
use adpipe_monitor::role::{Figures, Look, Measured, Monitor, measure_rules};
use adpipe_monitor::rules::{Language, Rule, Rules};
use adpipe_monitor::signal::Signal;
use adpipe_monitor::store::{self, Alert, Silence, State};
use adpipe_runtime::Shutdown;
use adpipe_warehouse::query_table;
use anyhow::bail;

use super::text::{as_json, is_silenced, lasted, sentence, shown};
use crate::cli::alerts::CheckArgs;
use crate::config::{Config, ConfigError};
use crate::output;
use crate::services::Services;

/// Pause while it is not known whether another monitor lives.
const LOOK_FOR_LIFE: Duration = Duration::from_millis(500);

/// How long Slack may take to accept the messages.
const TELL_TIME: Duration = Duration::from_secs(20);

const UNTOLD: &str = "Slack did not accept the messages; they are kept and sent with the next check";

/// Some figures take a while to find out (the age of sources), and are asked for again.
const FIND_OUT: Duration = Duration::from_secs(10);

struct Found {
    rules: Rules,
    measured: Measured,
    /// Those that are open, of the rules that were looked at.
    alerts: Vec<Alert>,
    silences: Vec<Silence>,
    /// A monitor runs elsewhere: nothing was changed.
    is_report: bool,
    /// Notifications can be sent.
    reaches_people: bool,
    /// What did not work.
    trouble: Option<String>,
}

/// Measures, and notifies.
pub fn run(config: Config, args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let rules = chosen(crate::alerts::rules(&config)?, args)?;
    let dags = crate::dags::load(&config)?;
    let services = Services::open_existing(config)?;
    let found = look(&services, rules, dags, args)?;
    tell(&found, args.json)?;
    let fires: Vec<&Alert> = found.alerts.iter().filter(|alert| alert.state == State::Firing).collect();
    let unmeasured = found.measured.values().find_map(|readings| readings.as_ref().err());
    if let Some(reason) = found.trouble.as_ref().or(unmeasured) {
        bail!("the check is incomplete: {reason}");
    }
    let is_untold = |alert: &&&Alert| {
        alert.acknowledged_at.is_none() && !is_silenced(&found.silences, alert, Millis::now())
    };
    if !found.is_report && !found.reaches_people && fires.iter().any(|alert| is_untold(&alert)) {
        bail!(
            "nobody is notified, because no webhook is set: put its address into ADPIPE_NOTIFY__SLACK_WEBHOOK"
        );
    }
    Ok(if args.fail && !fires.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Those rules that the flags name; all without flags.
fn chosen(rules: Rules, args: &CheckArgs) -> anyhow::Result<Rules> {
    let is_meant = |signal: Signal, word: &str| {
        signal.word() == word || signal.word().strip_prefix(word).is_some_and(|rest| rest.starts_with('_'))
    };
    for word in &args.signal {
        if !rules.iter().any(|rule| is_meant(rule.signal, word)) {
            let mut words: Vec<&str> = rules.iter().map(|rule| rule.signal.word()).collect();
            words.dedup();
            bail!(ConfigError::flag(format!(
                "no alert watches a signal {word:?}; there are: {}",
                words.join(", ")
            )));
        }
    }
    for name in &args.rule {
        if rules.find(name).is_none() {
            let names: Vec<&str> = rules.iter().map(|rule| rule.name.as_str()).collect();
            bail!(ConfigError::flag(format!("there is no alert {name:?}; there are: {}", names.join(", "))));
        }
    }
    if args.signal.is_empty() && args.rule.is_empty() {
        return Ok(rules);
    }
    let is_chosen = |rule: &Rule| {
        args.rule.contains(&rule.name) || args.signal.iter().any(|word| is_meant(rule.signal, word))
    };
    Ok(Rules(rules.0.into_iter().filter(is_chosen).collect()))
}

fn look(
    services: &Services,
    rules: Rules,
    dags: adpipe_schedule::dag::Dags,
    args: &CheckArgs,
) -> anyhow::Result<Found> {
    let pulse = Pulse::new();
    let sources = crate::alerts::sources(services, dags, pulse.clone())?;
    // The whole table, so that the alerts of other rules are left alone and not taken for gone.
    let all = crate::alerts::rules(&services.config)?;
    let shutdown = Shutdown::new();
    let notifier = crate::notify::start_once(services, &shutdown)?;
    let announcer = Box::new(notifier.announcer());
    let mut monitor = crate::alerts::monitor(services, all, sources.clone(), announcer)?;
    let is_chosen = |rule: &Rule| rules.find(&rule.name).is_some();
    let longest = rules.iter().map(|rule| rule.hold).max().unwrap_or_default();
    let every = services.config.alerts.every.0;
    let (began, patience) = (Instant::now(), longest + every * 2);
    loop {
        // Nothing else in this process checks whether it answers.
        let asked = Instant::now();
        query_table(services.warehouse.as_ref(), "select 1", &[])?;
        pulse.answered(asked.elapsed());
        match monitor.look(monitor.now(), &is_chosen)? {
            Look::StandBy { sees_life: false } => std::thread::sleep(LOOK_FOR_LIFE),
            Look::StandBy { sees_life: true } => {
                let figures = Figures::of(sources, services.metrics.clone());
                let measured = measure_known(&figures, &rules, began);
                return report(services, rules, measured);
            }
            Look::Done(measured) if is_unknown(&measured) && began.elapsed() < FIND_OUT => {
                std::thread::sleep(LOOK_FOR_LIFE);
            }
            Look::Done(measured) => {
                let is_ours = |alert: &Alert| rules.find(&alert.rule).is_some();
                let waits = monitor.open().any(|alert| alert.state == State::Pending && is_ours(alert));
                if !args.no_wait && waits && began.elapsed() < patience {
                    std::thread::sleep(every);
                    continue;
                }
                let mut found = done(&mut monitor, rules, measured);
                if !notifier.drain(TELL_TIME) {
                    found.trouble.get_or_insert_with(|| UNTOLD.to_owned());
                }
                shutdown.trigger();
                notifier.end();
                return Ok(found);
            }
        }
    }
}

/// Measures until every figure is known, or it has taken too long.
fn measure_known(figures: &Figures, rules: &Rules, began: Instant) -> Measured {
    let mut measured = measure_rules(figures, rules, Millis::now());
    while is_unknown(&measured) && began.elapsed() < FIND_OUT {
        std::thread::sleep(LOOK_FOR_LIFE);
        measured = measure_rules(figures, rules, Millis::now());
    }
    measured
}

fn is_unknown(measured: &Measured) -> bool {
    measured.values().any(Result::is_err)
}

fn done(monitor: &mut Monitor, rules: Rules, measured: Measured) -> Found {
    let alerts = monitor.open().filter(|alert| rules.find(&alert.rule).is_some()).cloned().collect();
    let found = Found {
        alerts,
        measured,
        rules,
        silences: monitor.silences().to_vec(),
        is_report: false,
        reaches_people: monitor.reaches_people(),
        trouble: monitor.take_trouble(),
    };
    monitor.stop();
    found
}

/// What the monitor has stored, and what is measured now.
fn report(services: &Services, rules: Rules, measured: Measured) -> anyhow::Result<Found> {
    let warehouse = services.warehouse.as_ref();
    let mut alerts = store::open_alerts(warehouse)?;
    alerts.retain(|alert| rules.find(&alert.rule).is_some());
    let silences = store::silences(warehouse)?;
    Ok(Found { rules, measured, alerts, silences, is_report: true, reaches_people: true, trouble: None })
}

fn tell(found: &Found, json: bool) -> anyhow::Result<()> {
    let now = Millis::now();
    if json {
        return tell_json(found);
    }
    for alert in &found.alerts {
        let since = alert.firing_since.unwrap_or(alert.pending_since);
        let silenced = if is_silenced(&found.silences, alert, now) { ", silenced" } else { "" };
        let known =
            alert.acknowledged_by.as_ref().map(|by| format!(", acknowledged by {by}")).unwrap_or_default();
        output::line(&format!(
            "{} {} since {} UTC ({}{silenced}{known}): {}",
            alert.rule,
            alert.state.word(),
            shown(since),
            lasted(since, now),
            sentence(&found.rules, alert)
        ))?;
        for cause in causes(alert) {
            output::line(&format!("  {cause}"))?;
        }
    }
    for (rule, labels, value) in coming_up(found) {
        let what = rule.summary(Language::English, &labels, value);
        output::line(&format!("{} has just come up: {what}", rule.name))?;
    }
    if found.alerts.is_empty() && coming_up(found).is_empty() {
        let looked_at = found.measured.values().filter(|readings| readings.is_ok()).count() as u64;
        output::line(&format!("no alerts need attention ({} checked)", output::counted(looked_at, "alert")))?;
    }
    if found.is_report {
        output::note("a monitor is running and sends notifications; nothing was changed");
    }
    Ok(())
}

/// What is measured on the bad side and not open yet: the monitor looks at it next.
fn coming_up(found: &Found) -> Vec<(&Rule, adpipe_monitor::signal::Labels, f64)> {
    let mut coming = Vec::new();
    for rule in found.rules.iter() {
        let Some(Ok(readings)) = found.measured.get(&rule.name) else { continue };
        for reading in readings.iter().filter(|reading| rule.bound.is_broken_by(reading.value)) {
            let is_it = |alert: &Alert| alert.rule == rule.name && alert.labels == reading.labels;
            if !found.alerts.iter().any(is_it) {
                coming.push((rule, reading.labels.clone(), reading.value));
            }
        }
    }
    coming
}

/// The causes with most errors, as the dead-letter queue's figures name them.
fn causes(alert: &Alert) -> Vec<String> {
    let causes = alert.context["causes"].as_array().cloned().unwrap_or_default();
    let cause = |cause: &serde_json::Value| {
        let text = |key: &str| cause[key].as_str().unwrap_or_default().to_owned();
        let message: String = text("message").chars().filter(|c| !c.is_control()).take(80).collect();
        // Alerts of an older adpipe do not have the stage.
        let stage = text("stage");
        let stage = if stage.is_empty() { stage } else { format!("  {stage}") };
        format!("{}  {}{stage}  {message}", text("fingerprint"), output::errors_of_cause(cause))
    };
    causes.iter().map(cause).collect()
}

fn tell_json(found: &Found) -> anyhow::Result<()> {
    let alerts: Vec<_> = found
        .alerts
        .iter()
        .map(|alert| as_json(&found.rules, &found.silences, alert))
        .collect::<Result<_, _>>()?;
    let coming: Vec<_> = coming_up(found)
        .into_iter()
        .map(|(rule, labels, value)| {
            let summary = rule.summary(Language::English, &labels, value);
            serde_json::json!({"rule": rule.name, "labels": labels, "value": value, "summary": summary})
        })
        .collect();
    let unmeasured: serde_json::Map<_, _> = found
        .measured
        .iter()
        .filter_map(|(rule, readings)| Some((rule.clone(), readings.as_ref().err()?.clone().into())))
        .collect();
    output::json(&serde_json::json!({
        "monitor_at_work": found.is_report,
        "alerts": alerts,
        "coming_up": coming,
        "not_measured": unmeasured,
    }))
}
