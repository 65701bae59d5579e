//! What waits, as things to tell: firing and resolution together, without what is not wanted.

use std::collections::BTreeMap;

use adpipe_event::Millis;
use adpipe_monitor::announce::Change;
use adpipe_monitor::rules::Severity;

use super::{News, Plan};
use crate::config::SlackConfig;
use crate::notice::{Entry, Notice, fired_of, silenced_of};
use crate::spool::Outcome;

/// One thing to send, of one or two changes.
pub(super) struct Unit {
    pub names: Vec<String>,
    pub news: News,
    pub notice: Notice,
    pub stored_at: Millis,
}

impl Unit {
    pub fn is_critical(&self) -> bool {
        self.notice.alert.severity == Severity::Critical
    }
}

/// What waits, and what became of everything else.
pub(super) struct Waiting<'a> {
    pub entries: &'a BTreeMap<&'a str, &'a Entry>,
    pub remembered: &'a dyn Fn(&str) -> Option<Outcome>,
}

impl Waiting<'_> {
    /// The things to tell; `plan` takes those that are not told, and why.
    pub fn units(&self, config: &SlackConfig, plan: &mut Plan) -> Vec<Unit> {
        let mut units = Vec::new();
        for (name, entry) in self.entries {
            let Entry::Alert(newest) = entry else { continue };
            if newest.is_silenced && newest.change == Change::Fired {
                plan.drop(vec![(*name).to_owned()], newest, Outcome::Silenced);
                continue;
            }
            let Some(unit) = self.unit(name, newest) else { continue };
            if let Some(outcome) = self.why_not(name, &unit, config) {
                plan.drop(unit.names, newest, outcome);
            } else if unit.news == News::Fired && is_below_threshold(newest, config) {
                plan.below_threshold.push((*name).to_owned());
            } else {
                units.push(unit);
            }
        }
        units
    }

    fn notice(&self, name: &str) -> Option<&Notice> {
        match self.entries.get(name) {
            Some(Entry::Alert(notice)) => Some(notice.as_ref()),
            _ => None,
        }
    }

    /// What there is to tell of a change; none of a firing that is told with its resolution.
    fn unit(&self, name: &str, newest: &Notice) -> Option<Unit> {
        let unit = |names: &[&str], news, stored_at| Unit {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            news,
            notice: newest.clone(),
            stored_at: Millis(stored_at),
        };
        if newest.change == Change::Fired {
            let resolved = format!("{}.resolved", name.trim_end_matches(".fired"));
            let is_resolved = self.notice(&resolved).is_some();
            return (!is_resolved).then(|| unit(&[name], News::Fired, newest.stored_at));
        }
        let fired_name = fired_of(name);
        let fired = fired_name.as_deref().and_then(|fired_name| Some((fired_name, self.notice(fired_name)?)));
        Some(match fired {
            Some((fired_name, fired)) => unit(&[fired_name, name], News::Passed, fired.stored_at),
            None => unit(&[name], News::Resolved, newest.stored_at),
        })
    }

    /// Why something is not to be told, if so.
    fn why_not(&self, name: &str, unit: &Unit, config: &SlackConfig) -> Option<Outcome> {
        let not_announced = match unit.news {
            News::Resolved => self.why_firing_was_not_told(name),
            _ => None,
        };
        let is_unwanted = !config.wants(&unit.notice.alert.rule)
            || unit.news == News::Passed && is_below_threshold(&unit.notice, config);
        not_announced.or(is_unwanted.then_some(Outcome::NotWanted))
    }

    /// Why its firing was not sent, if so: then its end is not sent, either.
    fn why_firing_was_not_told(&self, resolved: &str) -> Option<Outcome> {
        match fired_of(resolved).and_then(|fired| (self.remembered)(&fired)) {
            Some(outcome @ (Outcome::NotWanted | Outcome::Dropped)) => Some(outcome),
            Some(_) => None,
            None => {
                let silenced = silenced_of(resolved)?;
                let is_silenced = self.notice(&silenced).is_some() || (self.remembered)(&silenced).is_some();
                is_silenced.then_some(Outcome::Silenced)
            }
        }
    }
}

fn is_below_threshold(notice: &Notice, config: &SlackConfig) -> bool {
    config.thresholds.get(&notice.alert.rule).is_some_and(|threshold| !notice.is_beyond(*threshold))
}
