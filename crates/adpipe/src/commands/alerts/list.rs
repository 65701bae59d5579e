//! `adpipe alerts list` and `history`.

use adpipe_event::Millis;
use adpipe_monitor::store::{self, Alert};

use super::access::AlertAccess;
use super::text::{as_json, is_silenced, lasted, sentence, shown};
use crate::cli::alerts::HistoryArgs;
use crate::output;

pub fn open(access: &AlertAccess, json: bool) -> anyhow::Result<()> {
    let warehouse = access.warehouse.as_ref();
    let (alerts, silences) = (store::open_alerts(warehouse)?, store::silences(warehouse)?);
    if json {
        let values: Vec<_> =
            alerts.iter().map(|alert| as_json(&access.rules, &silences, alert)).collect::<Result<_, _>>()?;
        return output::json(&values.into());
    }
    if alerts.is_empty() {
        output::line("no alerts need attention")?;
        return tell_who_watches(access);
    }
    let now = Millis::now();
    let row = |alert: &Alert| {
        let since = alert.firing_since.unwrap_or(alert.pending_since);
        let known = match (&alert.acknowledged_by, is_silenced(&silences, alert, now)) {
            (Some(by), _) => by.clone(),
            (None, true) => "silenced".to_owned(),
            (None, false) => String::new(),
        };
        vec![
            alert.rule.clone(),
            alert.state.word().to_owned(),
            shown(since),
            alert.severity.to_string(),
            known,
            sentence(&access.rules, alert),
            alert.alert_id.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = alerts.iter().map(row).collect();
    let header = ["alert", "state", "since (UTC)", "severity", "acknowledged by", "what", "id"];
    output::line(&output::table(&header, &[], &rows))?;
    tell_who_watches(access)
}

/// An empty list means little when no monitor runs.
fn tell_who_watches(access: &AlertAccess) -> anyhow::Result<()> {
    use adpipe_schedule::lease::{MONITOR, holder};
    if holder(access.warehouse.as_ref(), MONITOR)?.is_none() {
        output::note(
            "no monitor is running; `adpipe up` or `adpipe run monitor` starts one, `adpipe alerts check` \
             measures once",
        );
    }
    Ok(())
}

pub fn history(access: &AlertAccess, args: &HistoryArgs) -> anyhow::Result<()> {
    let warehouse = access.warehouse.as_ref();
    let now = Millis::now();
    let back = i64::try_from(args.since.as_millis()).unwrap_or(i64::MAX);
    let alerts = store::history(warehouse, Millis(now.0.saturating_sub(back).max(0)))?;
    if args.json {
        let silences = store::silences(warehouse)?;
        let values: Vec<_> =
            alerts.iter().map(|alert| as_json(&access.rules, &silences, alert)).collect::<Result<_, _>>()?;
        return output::json(&values.into());
    }
    if alerts.is_empty() {
        return output::line("nothing fired within this time");
    }
    let row = |alert: &Alert| {
        let from = alert.firing_since.unwrap_or(alert.pending_since);
        let unit = |value| match access.rules.find(&alert.rule) {
            Some(rule) => rule.signal.unit().format_beside(Default::default(), value, alert.threshold),
            None => format!("{value}"),
        };
        vec![
            alert.rule.clone(),
            alert.labels.values().cloned().collect::<Vec<_>>().join(" "),
            shown(from),
            alert.resolved_at.map_or_else(|| "fires".to_owned(), shown),
            lasted(from, alert.resolved_at.unwrap_or(now)),
            unit(alert.worst),
            alert.acknowledged_by.clone().unwrap_or_default(),
            alert.note.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = alerts.iter().map(row).collect();
    let header = ["alert", "of", "from (UTC)", "until (UTC)", "lasted", "worst", "acknowledged by", "note"];
    output::line(&output::table(&header, &[false, false, false, false, true, true], &rows))
}
