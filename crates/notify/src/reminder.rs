//! Reminders of alerts that still fire and are not acknowledged.

use std::collections::{BTreeMap, HashMap};

use adpipe_event::Millis;
use adpipe_monitor::rules::Severity;

use crate::alert_refresh::Fresh;
use crate::config::SlackConfig;
use crate::notice::{Entry, Notice};
use crate::plan::{Content, Message, News};

/// The reminders that are due, one a kind. `told` are the alerts that were told to fire, with the
/// time of their newest message; of those that the alert refresh does not know to fire nothing is said.
pub fn due(
    told: &[(String, Entry, Millis)],
    fresh: &HashMap<String, Fresh>,
    config: &SlackConfig,
    now: Millis,
) -> Vec<Message> {
    let Some(every) = config.throttle.repeat_every.0 else { return Vec::new() };
    let is_quiet = config.quiet_hours.is_some_and(|quiet| quiet.end(&config.time_zone, now).is_some());
    let mut of_kind: BTreeMap<String, (Vec<String>, Vec<Notice>)> = BTreeMap::new();
    for (name, entry, newest) in told {
        let (Entry::Alert(notice), Some(fresh)) = (entry, fresh.get(name)) else { continue };
        let is_due = now.0 - newest.0 >= every.as_millis() as i64;
        let is_held = is_quiet && notice.alert.severity != Severity::Critical;
        if !is_due || is_held || !fresh.is_firing || fresh.is_acknowledged {
            continue;
        }
        let mut notice = notice.as_ref().clone();
        (notice.alert.value, notice.alert.worst) = (fresh.value, fresh.worst);
        let (names, notices) = of_kind.entry(notice.kind()).or_default();
        names.push(name.clone());
        notices.push(notice);
    }
    of_kind
        .into_iter()
        .map(|(kind, (names, notices))| Message {
            names,
            kind,
            content: Content::Group(News::Still, notices),
            due: now,
        })
        .collect()
}
