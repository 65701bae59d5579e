//! What people do about alerts: take them on, silence them.

use adpipe_event::Millis;
use adpipe_monitor::rules::Rules;
use adpipe_monitor::signal::Labels;
use adpipe_monitor::store::{self, Alert, NewSilence, Silence};
use anyhow::bail;

use super::access::AlertAccess;
use super::text::{lasted, shown};
use crate::actor::actor;
use crate::cli::alerts::{AckArgs, SilenceArgs, UnsilenceArgs};
use crate::config::ConfigError;
use crate::output;

pub fn acknowledge(access: &AlertAccess, args: &AckArgs) -> anyhow::Result<()> {
    let open = store::open_alerts(access.warehouse.as_ref())?;
    let alert_id = meant(&open, &access.rules, &args.alert)?;
    let alert = store::acknowledge(access.warehouse.as_ref(), &alert_id, &actor(), &args.note)?;
    if args.json {
        return output::json(&serde_json::to_value(&alert)?);
    }
    output::line(&format!(
        "{} is acknowledged; there are no further notifications until it resolves",
        alert.rule
    ))
}

/// The id of the open alert that is meant.
fn meant(open: &[Alert], rules: &Rules, text: &str) -> anyhow::Result<String> {
    let found: Vec<&Alert> =
        open.iter().filter(|alert| alert.rule == text || alert.alert_id.starts_with(text)).collect();
    match found[..] {
        _ if text.is_empty() => bail!(ConfigError::flag("say which alert; `adpipe alerts list` lists them")),
        [alert] => Ok(alert.alert_id.clone()),
        // Over or never there: the store says which.
        [] if text.len() == 36 => Ok(text.to_owned()),
        [] if rules.find(text).is_none() => bail!(unknown(rules, text)),
        [] => bail!("{text} is not open; `adpipe alerts list` lists the alerts that are"),
        _ => {
            let ids: Vec<&str> = found.iter().map(|alert| alert.alert_id.as_str()).collect();
            bail!("{text:?} matches {}; name one by its id", ids.join(", "))
        }
    }
}

pub fn silence(access: &AlertAccess, args: &SilenceArgs) -> anyhow::Result<()> {
    if args.lasts.is_zero() {
        bail!(ConfigError::flag("--for: a silence must last for more than zero"));
    }
    let rule = args.rule.clone().unwrap_or_default();
    let labels = labels(&access.rules, &rule, &args.label)?;
    let delay = i64::try_from(args.starts_in.unwrap_or_default().as_millis()).unwrap_or(i64::MAX);
    let new = NewSilence {
        rule,
        labels,
        starts_at: Millis(Millis::now().0.saturating_add(delay)),
        lasts: args.lasts,
        comment: args.comment.clone(),
        created_by: actor(),
    };
    let silence = store::silence(access.warehouse.as_ref(), &new)?;
    if args.json {
        return output::json(&serde_json::to_value(&silence)?);
    }
    output::line(&format!(
        "{} is silenced from {} to {} UTC; `adpipe alerts unsilence {}` ends it",
        about(&silence),
        shown(silence.starts_at),
        shown(silence.ends_at),
        silence.silence_id
    ))
}

/// That the table of alerts has none of this name.
fn unknown(rules: &Rules, name: &str) -> ConfigError {
    let names: Vec<&str> = rules.iter().map(|rule| rule.name.as_str()).collect();
    ConfigError::flag(format!("there is no alert {name:?}; there are: {}", names.join(", ")))
}

/// Labels that the alert can have: another label would silence nothing, unnoticed.
fn labels(rules: &Rules, rule: &str, texts: &[String]) -> anyhow::Result<Labels> {
    let known: Vec<&str> = match rules.find(rule) {
        Some(rule) => rule.signal.labels().to_vec(),
        None if rule.is_empty() => {
            rules.iter().flat_map(|rule| rule.signal.labels().iter().copied()).collect()
        }
        None => bail!(unknown(rules, rule)),
    };
    let mut labels = Labels::new();
    for text in texts {
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| ConfigError::flag("write --label NAME=VALUE, as in dag=dag_dbt_run"))?;
        if !known.contains(&name) {
            let has = if known.is_empty() { "no labels".to_owned() } else { known.join(", ") };
            bail!(ConfigError::flag(format!(
                "{} has no label {name:?}; it has {has}",
                if rule.is_empty() { "no alert" } else { rule }
            )));
        }
        labels.insert(name.to_owned(), value.to_owned());
    }
    Ok(labels)
}

pub fn unsilence(access: &AlertAccess, args: &UnsilenceArgs) -> anyhow::Result<()> {
    let silences = store::silences(access.warehouse.as_ref())?;
    let found: Vec<&Silence> =
        silences.iter().filter(|silence| silence.silence_id.starts_with(&args.silence)).collect();
    let silence = match found[..] {
        [silence] if !args.silence.is_empty() => silence,
        [] => bail!("no silence begins with {:?}; `adpipe alerts silences` lists them", args.silence),
        _ => bail!("{:?} matches several silences; write more of the id", args.silence),
    };
    store::end_silence(access.warehouse.as_ref(), &silence.silence_id)?;
    output::line(&format!("{} is no longer silenced", about(silence)))
}

pub fn silences(access: &AlertAccess, json: bool) -> anyhow::Result<()> {
    let silences = store::silences(access.warehouse.as_ref())?;
    if json {
        return output::json(&serde_json::to_value(&silences)?);
    }
    if silences.is_empty() {
        return output::line("nothing is silenced");
    }
    let now = Millis::now();
    let row = |silence: &Silence| {
        let left = if silence.lasts_at(now) { lasted(now, silence.ends_at) } else { "to come".to_owned() };
        vec![
            about(silence),
            shown(silence.starts_at),
            shown(silence.ends_at),
            left,
            silence.created_by.clone(),
            silence.comment.clone(),
            silence.silence_id.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = silences.iter().map(row).collect();
    let header = ["silent", "from (UTC)", "until (UTC)", "left", "by", "why", "id"];
    output::line(&output::table(&header, &[], &rows))
}

/// `DagFailed dag=dag_dbt_run`.
fn about(silence: &Silence) -> String {
    let rule = if silence.rule.is_empty() { "every alert" } else { &silence.rule };
    let labels: String = silence.labels.iter().map(|(name, value)| format!(" {name}={value}")).collect();
    format!("{rule}{labels}")
}
