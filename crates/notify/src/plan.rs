//! What goes out now, and what with what. No clock, no disk, no network in here.

use std::collections::BTreeMap;

use adpipe_event::Millis;

use crate::config::SlackConfig;
use crate::kind;
use crate::notice::{Entry, Notice};
use crate::spool::Outcome;
use crate::summary::Summary;
use throttle::throttle;
use units::{Unit, Waiting};

mod throttle;
mod units;

/// What a message says of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum News {
    /// It fires.
    Fired,
    /// It has ended.
    Resolved,
    /// It fired, and ended before it was sent.
    Passed,
    /// It still fires.
    Still,
}

/// Why alerts of several kinds are sent together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// They came in quiet hours.
    Quiet,
    /// There were too many messages.
    Throttled,
}

/// What a message holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// Alerts of one kind of which there is the same news.
    Group(News, Vec<Notice>),
    /// Alerts of any kind that were held back.
    Digest(Held, Vec<(News, Notice)>),
    /// The daily summary.
    Summary(Box<Summary>),
}

/// A message to send.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// What it settles.
    pub names: Vec<String>,
    /// For metrics and throttles.
    pub kind: String,
    /// What it says.
    pub content: Content,
    /// Since when it should be out.
    pub due: Millis,
}

/// What is not to be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Dropped {
    /// What it settles.
    pub names: Vec<String>,
    /// For metrics.
    pub kind: String,
    /// What is recorded of it.
    pub outcome: Outcome,
}

/// What there is to do.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// To send, in this order.
    pub messages: Vec<Message>,
    /// To settle without a word.
    pub dropped: Vec<Dropped>,
    /// When there will be more to do, unless something new comes; none for never.
    pub next: Option<Millis>,
    /// Alerts that wait for their value to go beyond the threshold of `slack_config.json`.
    pub below_threshold: Vec<String>,
}

/// Decides over what waits. `remembered` is what became of a name, `sent` the messages of the last
/// hour.
pub fn plan(
    waiting: &BTreeMap<&str, &Entry>,
    remembered: &dyn Fn(&str) -> Option<Outcome>,
    sent: &[(Millis, String)],
    config: &SlackConfig,
    now: Millis,
) -> Plan {
    let mut plan = Plan::default();
    let mut sorted = Sorted::default();
    for unit in (Waiting { entries: waiting, remembered }).units(config, &mut plan) {
        sorted.add(unit, config, now, &mut plan);
    }
    let due = sorted.due(config, now, &mut plan);
    throttle(due, sent, &config.throttle, now, &mut plan);
    plan.messages.extend(waiting.iter().filter_map(|(name, entry)| daily_summary(name, entry)));
    plan
}

/// What is to be told, with what it goes out with.
#[derive(Default)]
struct Sorted {
    /// By kind and news.
    groups: BTreeMap<(String, News), Vec<Unit>>,
    /// What came in quiet hours that are over …
    of_quiet_hours: Vec<Unit>,
    /// … and when they were.
    quiet_ended: Millis,
}

impl Sorted {
    fn add(&mut self, unit: Unit, config: &SlackConfig, now: Millis, plan: &mut Plan) {
        let quiet_end = match (unit.is_critical(), config.quiet_hours) {
            (false, Some(quiet)) => quiet.end(&config.time_zone, unit.stored_at),
            _ => None,
        };
        match quiet_end {
            Some(end) if end > now => plan.look_again(end),
            Some(end) => {
                self.quiet_ended = self.quiet_ended.max(end);
                self.of_quiet_hours.push(unit);
            }
            None => self.group(unit),
        }
    }

    fn group(&mut self, unit: Unit) {
        self.groups.entry((unit.notice.kind(), unit.news)).or_default().push(unit);
    }

    /// The messages that need not wait for others of their kind: the gravest first, then the oldest.
    fn due(mut self, config: &SlackConfig, now: Millis, plan: &mut Plan) -> Vec<Message> {
        let group_wait_ms = config.group_wait.0.as_millis() as i64;
        let mut due = Vec::new();
        let mut of_quiet_hours = std::mem::take(&mut self.of_quiet_hours);
        if of_quiet_hours.len() > 1 {
            due.push((digest(Held::Quiet, of_quiet_hours, self.quiet_ended), false));
        } else if let Some(mut single) = of_quiet_hours.pop() {
            single.stored_at = Millis(self.quiet_ended.0 - group_wait_ms);
            self.group(single);
        }
        for ((kind, news), units) in self.groups {
            let oldest = units.iter().map(|unit| unit.stored_at).min().unwrap_or(now);
            let at = Millis(oldest.0 + group_wait_ms);
            if at <= now {
                let is_critical = units.iter().any(Unit::is_critical);
                due.push((group(kind, news, units, at), is_critical));
            } else {
                plan.look_again(at)
            }
        }
        due.sort_by_key(|(message, is_critical)| (!is_critical, message.due));
        due.into_iter().map(|(message, _)| message).collect()
    }
}

impl Plan {
    fn look_again(&mut self, at: Millis) {
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }

    fn drop(&mut self, names: Vec<String>, notice: &Notice, outcome: Outcome) {
        self.dropped.push(Dropped { names, kind: notice.kind(), outcome });
    }
}

fn group(kind: String, news: News, units: Vec<Unit>, due: Millis) -> Message {
    let names = units.iter().flat_map(|unit| unit.names.clone()).collect();
    let notices = units.into_iter().map(|unit| unit.notice).collect();
    Message { names, kind, content: Content::Group(news, notices), due }
}

fn digest(held: Held, units: Vec<Unit>, due: Millis) -> Message {
    let names = units.iter().flat_map(|unit| unit.names.clone()).collect();
    let notices = units.into_iter().map(|unit| (unit.news, unit.notice)).collect();
    Message { names, kind: kind::DIGEST.to_owned(), content: Content::Digest(held, notices), due }
}

fn daily_summary(name: &str, entry: &Entry) -> Option<Message> {
    let Entry::Summary { stored_at, summary } = entry else { return None };
    Some(Message {
        names: vec![name.to_owned()],
        kind: kind::DAILY_SUMMARY.to_owned(),
        content: Content::Summary(summary.clone()),
        due: Millis(*stored_at),
    })
}

#[cfg(test)]
mod tests;
