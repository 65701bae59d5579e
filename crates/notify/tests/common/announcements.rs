//! Announcements of alerts, for tests.

use adpipe_event::Millis;
use adpipe_monitor::announce::{Announcement, Change};
use adpipe_monitor::rules::Rules;
use adpipe_monitor::store::{Alert, Announced, State};

/// A change of an alert of this built-in rule.
pub fn announcement(rule: &str, id: &str, change: Change, at: Millis) -> Announcement {
    let rule = Rules::built_in().unwrap().find(rule).unwrap().clone();
    let labels = rule.signal.labels().iter().map(|name| (name.to_string(), format!("{name}_1"))).collect();
    let threshold = rule.bound.threshold();
    let alert = Alert {
        alert_id: id.to_owned(),
        rule: rule.name.clone(),
        labels,
        severity: rule.severity,
        state: if change == Change::Fired { State::Firing } else { State::Resolved },
        value: threshold * 2.0,
        worst: threshold * 3.0,
        threshold,
        context: serde_json::Value::Null,
        pending_since: Millis(at.0 - 120_000),
        firing_since: Some(Millis(at.0 - 60_000)),
        resolved_at: (change == Change::Resolved).then_some(at),
        updated_at: at,
        acknowledged_at: None,
        acknowledged_by: None,
        note: String::new(),
        announced: Announced::Nothing,
    };
    Announcement { alert, change, rule, is_silenced: false }
}
