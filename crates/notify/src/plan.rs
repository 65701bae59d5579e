//! What goes out now, and what with what. No clock, no disk, no network in here.

use std::collections::BTreeMap;

use adpipe_event::Millis;
use adpipe_monitor::announce::Change;
use adpipe_monitor::rules::Severity;

use crate::config::SlackConfig;
use crate::kind;
use crate::notice::{Entry, Notice, fired_of, silenced_of};
use crate::spool::Outcome;
use crate::summary::Summary;

const HOUR_MS: i64 = 3_600_000;

/// What a message says of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum News {
    /// It fires.
    Fired,
    /// It is over.
    Resolved,
    /// It fired, and was over before anybody was told.
    Passed,
    /// It still fires.
    Still,
}

/// Why alerts of several kinds are told together.
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

/// What is not to be told.
#[derive(Debug, Clone, PartialEq)]
pub struct Dropped {
    /// What it settles.
    pub names: Vec<String>,
    /// For metrics.
    pub kind: String,
    /// Why.
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

/// One thing to tell, of one or two changes.
struct Unit {
    names: Vec<String>,
    news: News,
    notice: Notice,
    stored_at: Millis,
}

impl Unit {
    fn is_critical(&self) -> bool {
        self.notice.alert.severity == Severity::Critical
    }
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
    let units = units(waiting, remembered, config, &mut plan);
    let mut quiet_time: Vec<Unit> = Vec::new();
    let mut groups: BTreeMap<(String, News), Vec<Unit>> = BTreeMap::new();
    let mut quiet_ended = Millis(0);
    for unit in units {
        let quiet_end = match (unit.is_critical(), config.quiet_hours) {
            (false, Some(quiet)) => quiet.end(&config.time_zone, unit.stored_at),
            _ => None,
        };
        match quiet_end {
            Some(end) if end > now => plan.look_again(end),
            Some(end) => {
                quiet_ended = quiet_ended.max(end);
                quiet_time.push(unit);
            }
            None => groups.entry((unit.notice.kind(), unit.news)).or_default().push(unit),
        }
    }
    if quiet_time.len() == 1 {
        for mut unit in quiet_time.drain(..) {
            unit.stored_at = Millis(quiet_ended.0 - config.group_wait.0.as_millis() as i64);
            groups.entry((unit.notice.kind(), unit.news)).or_default().push(unit);
        }
    }
    let mut due = Vec::new();
    if !quiet_time.is_empty() {
        due.push((digest(Held::Quiet, quiet_time, quiet_ended), false));
    }
    for ((kind, news), units) in groups {
        let oldest = units.iter().map(|unit| unit.stored_at).min().unwrap_or(now);
        let at = Millis(oldest.0 + config.group_wait.0.as_millis() as i64);
        if at <= now {
            let is_critical = units.iter().any(Unit::is_critical);
            due.push((group(kind, news, units, at), is_critical));
        } else {
            plan.look_again(at)
        }
    }
    // The gravest first, then the oldest.
    due.sort_by_key(|(message, is_critical)| (!is_critical, message.due));
    throttle(due.into_iter().map(|(message, _)| message).collect(), sent, config, now, &mut plan);
    for (name, entry) in waiting {
        if let Entry::Summary { stored_at, summary } = entry {
            plan.messages.push(Message {
                names: vec![(*name).to_owned()],
                kind: kind::DAILY_SUMMARY.to_owned(),
                content: Content::Summary(summary.clone()),
                due: Millis(*stored_at),
            });
        }
    }
    plan
}

impl Plan {
    fn look_again(&mut self, at: Millis) {
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }

    fn drop(&mut self, names: Vec<String>, notice: &Notice, outcome: Outcome) {
        self.dropped.push(Dropped { names, kind: notice.kind(), outcome });
    }
}

/// Puts firing and resolution together and leaves out what is not wanted.
fn units(
    waiting: &BTreeMap<&str, &Entry>,
    remembered: &dyn Fn(&str) -> Option<Outcome>,
    config: &SlackConfig,
    plan: &mut Plan,
) -> Vec<Unit> {
    let notice = |name: &str| match waiting.get(name) {
        Some(Entry::Alert(notice)) => Some(notice.as_ref()),
        _ => None,
    };
    let mut units = Vec::new();
    for (name, entry) in waiting {
        let Entry::Alert(newest) = entry else { continue };
        if newest.is_silenced && newest.change == Change::Fired {
            plan.drop(vec![(*name).to_owned()], newest, Outcome::Silenced);
            continue;
        }
        let mut names = vec![(*name).to_owned()];
        let (news, stored_at) = match newest.change {
            Change::Fired => {
                let resolved = format!("{}.resolved", name.trim_end_matches(".fired"));
                if notice(&resolved).is_some() {
                    // Told with its resolution.
                    continue;
                }
                (News::Fired, newest.stored_at)
            }
            Change::Resolved => match fired_of(name).and_then(|fired| notice(&fired).map(|n| (fired, n))) {
                Some((fired_name, fired)) => {
                    names.insert(0, fired_name);
                    (News::Passed, fired.stored_at)
                }
                None => (News::Resolved, newest.stored_at),
            },
        };
        if news == News::Resolved
            && let Some(outcome) = untold(name, remembered, &|name| notice(name).is_some())
        {
            plan.drop(names, newest, outcome);
            continue;
        }
        if !config.wants(&newest.alert.rule) {
            plan.drop(names, newest, Outcome::NotWanted);
            continue;
        }
        let is_below = match config.thresholds.get(&newest.alert.rule) {
            Some(threshold) => !newest.is_beyond(*threshold),
            None => false,
        };
        match (is_below, news) {
            (true, News::Fired) => plan.below_threshold.push((*name).to_owned()),
            (true, News::Passed) => plan.drop(names, newest, Outcome::NotWanted),
            _ => units.push(Unit {
                names,
                news,
                notice: newest.as_ref().clone(),
                stored_at: Millis(stored_at),
            }),
        }
    }
    units
}

/// Why nobody was told that it fires, if so: then nobody is told that it is over.
fn untold(
    resolved: &str,
    remembered: &dyn Fn(&str) -> Option<Outcome>,
    waits: &dyn Fn(&str) -> bool,
) -> Option<Outcome> {
    match fired_of(resolved).and_then(|fired| remembered(&fired)) {
        Some(outcome @ (Outcome::NotWanted | Outcome::Dropped)) => Some(outcome),
        Some(_) => None,
        None => {
            let silenced = silenced_of(resolved)?;
            (waits(&silenced) || remembered(&silenced).is_some()).then_some(Outcome::Silenced)
        }
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

/// Lets through as many messages as there may be; when there are more, all go in one.
fn throttle(
    due: Vec<Message>,
    sent: &[(Millis, String)],
    config: &SlackConfig,
    now: Millis,
    plan: &mut Plan,
) {
    let most = config.throttle.messages_per_hour as usize;
    let most_of_a_kind = config.throttle.messages_per_hour_of_a_kind as usize;
    let mut of_kind: BTreeMap<&str, Vec<Millis>> = BTreeMap::new();
    for (at, kind) in sent {
        of_kind.entry(kind).or_default().push(*at);
    }
    // The n-th newest message leaves the hour, and there is room.
    let room_at = |times: &[Millis], most: usize| {
        times.len().checked_sub(most).and_then(|index| times.get(index)).map(|at| Millis(at.0 + HOUR_MS))
    };
    let mut allowed = Vec::new();
    let mut now_of_kind: BTreeMap<String, usize> = BTreeMap::new();
    for message in due {
        let times = of_kind.get(message.kind.as_str()).map_or(&[] as &[Millis], Vec::as_slice);
        let more = now_of_kind.entry(message.kind.clone()).or_default();
        if times.len() + *more >= most_of_a_kind {
            // Without an old one those of this moment fill it: in an hour at the latest.
            plan.look_again(room_at(times, most_of_a_kind).unwrap_or(Millis(now.0 + HOUR_MS)));
        } else {
            *more += 1;
            allowed.push(message);
        }
    }
    let all: Vec<Millis> = sent.iter().map(|(at, _)| *at).collect();
    let room = most.saturating_sub(all.len());
    if allowed.len() <= room {
        plan.messages.extend(allowed);
    } else if room > 0 {
        let due = allowed.iter().map(|message| message.due).min().unwrap_or(now);
        let names = allowed.iter().flat_map(|message| message.names.clone()).collect();
        let notices = allowed
            .into_iter()
            .flat_map(|message| match message.content {
                Content::Group(news, notices) => notices.into_iter().map(|notice| (news, notice)).collect(),
                Content::Digest(_, notices) => notices,
                Content::Summary(_) => Vec::new(),
            })
            .collect();
        plan.messages.push(Message {
            names,
            kind: kind::DIGEST.to_owned(),
            content: Content::Digest(Held::Throttled, notices),
            due,
        });
    } else if !allowed.is_empty() {
        plan.look_again(room_at(&all, most).unwrap_or(Millis(now.0 + HOUR_MS)));
    }
}

#[cfg(test)]
mod tests;
