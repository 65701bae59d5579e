//! Pending, firing, resolved: what becomes of alerts when a signal was measured.
//!
//! No clock, no database: [`Evaluator::look`] takes the readings and the moment. What has to be stored
//! stays marked until it is stored, so nothing is lost while the warehouse is down; the same holds for
//! notifications. The rules are those of Prometheus: an alert ends if its value has recovered or its
//! series is gone, but not if it could not be measured.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use adpipe_event::Millis;

use crate::announce::{Announcement, Change};
use crate::rules::{Rule, Rules};
use crate::signal::{Labels, Reading};
use crate::store::{Alert, Announced, Silence, State};

/// A moment on two clocks: the wall's, for people, which may jump; and one that only runs forward,
/// by which the time is measured that something held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The wall clock.
    pub wall: Millis,
    /// Since any moment, the same for all looks of one evaluator.
    pub steady: Duration,
}

/// What the readings of a rule gave.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Looked {
    /// Alerts that came up.
    pub came_up: usize,
    /// Alerts that fire from now on.
    pub fired: usize,
    /// Alerts that are over.
    pub resolved: usize,
}

/// An alert that is open, and since when on the clock that only runs forward.
#[derive(Debug, Clone)]
struct Open {
    alert: Alert,
    /// How long it had held already when this evaluator began to measure …
    held_before: Duration,
    /// … which was here.
    since: Duration,
}

impl Open {
    fn held(&self, now: Moment) -> Duration {
        self.held_before + now.steady.saturating_sub(self.since)
    }
}

/// What is to be stored.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// The alert as it is now.
    Keep(Box<Alert>),
    /// It passed before it fired.
    Forget(String),
}

/// The alerts that are open, and those that have ended and are not yet stored or notified.
#[derive(Debug, Default)]
pub struct Evaluator {
    open: BTreeMap<(String, Labels), Open>,
    over: BTreeMap<String, Alert>,
    unsaved: BTreeSet<String>,
    /// Passed before they fired, and may be in the warehouse.
    passed: BTreeSet<String>,
}

impl Evaluator {
    /// Continues with what is stored: open alerts, and those that have ended without a notification.
    pub fn resume(stored: Vec<Alert>, now: Moment) -> Evaluator {
        let mut evaluator = Evaluator::default();
        for alert in stored {
            evaluator.take(alert, now);
        }
        evaluator
    }

    /// Takes over what a monitor that died could not store. What the warehouse has newer counts; and
    /// where another alert of the same rule and labels is open there, this one is over.
    pub fn adopt(&mut self, unstored: Vec<Alert>, now: Moment) {
        let newer: BTreeMap<String, Millis> = self
            .open()
            .chain(self.over.values())
            .map(|alert| (alert.alert_id.clone(), alert.updated_at))
            .collect();
        for mut alert in unstored {
            if newer.get(&alert.alert_id).is_some_and(|known| *known > alert.updated_at) {
                continue;
            }
            let key = (alert.rule.clone(), alert.labels.clone());
            let rival = self.open.get(&key).filter(|open| open.alert.alert_id != alert.alert_id);
            if rival.is_some() && alert.state == State::Firing {
                alert.state = State::Resolved;
                alert.resolved_at = Some(now.wall);
            } else if rival.is_some() && alert.state == State::Pending {
                continue;
            }
            if alert.state == State::Resolved {
                self.open.retain(|_, open| open.alert.alert_id != alert.alert_id);
            }
            self.unsaved.insert(alert.alert_id.clone());
            self.take(alert, now);
        }
    }

    /// What is not in the warehouse yet.
    pub fn unstored(&self) -> Vec<Alert> {
        let alerts = self.open().chain(self.over.values());
        alerts.filter(|alert| self.unsaved.contains(&alert.alert_id)).cloned().collect()
    }

    fn take(&mut self, alert: Alert, now: Moment) {
        if alert.state == State::Resolved {
            self.over.insert(alert.alert_id.clone(), alert);
            return;
        }
        // By the wall clock, because both processes share no other. If it was set back since, no time
        // has passed.
        let held = u64::try_from(now.wall.0 - alert.pending_since.0).unwrap_or(0);
        let key = (alert.rule.clone(), alert.labels.clone());
        let open = Open { alert, held_before: Duration::from_millis(held), since: now.steady };
        self.open.insert(key, open);
    }

    /// Takes what a rule's signal measured. If it could not be measured, do not call this: the rule's
    /// alerts stay as they are.
    pub fn look(
        &mut self,
        rule: &Rule,
        readings: &[Reading],
        now: Moment,
        new_id: &mut dyn FnMut() -> String,
    ) -> Looked {
        let mut looked = Looked::default();
        let mut broken = BTreeSet::new();
        for reading in readings.iter().filter(|reading| rule.bound.is_broken_by(reading.value)) {
            broken.insert(&reading.labels);
            let key = (rule.name.clone(), reading.labels.clone());
            let open = self.open.entry(key).or_insert_with(|| {
                looked.came_up += 1;
                let alert = came_up(rule, reading, now, new_id());
                Open { alert, held_before: Duration::ZERO, since: now.steady }
            });
            let held = open.held(now);
            let alert = &mut open.alert;
            alert.value = reading.value;
            alert.worst = rule.bound.worse(alert.worst, reading.value);
            alert.threshold = rule.bound.threshold();
            alert.severity = rule.severity;
            alert.context = reading.context.clone();
            alert.updated_at = now.wall;
            if alert.state == State::Pending && held >= rule.hold {
                alert.state = State::Firing;
                alert.firing_since = Some(now.wall);
                looked.fired += 1;
            }
            self.unsaved.insert(alert.alert_id.clone());
        }
        let is_over = |open: &Open| open.alert.rule == rule.name && !broken.contains(&open.alert.labels);
        let over: Vec<_> =
            self.open.iter().filter(|(_, open)| is_over(open)).map(|(key, _)| key.clone()).collect();
        for key in over {
            let newest = readings.iter().find(|reading| reading.labels == key.1);
            looked.resolved += usize::from(self.end(&key, newest.map(|reading| reading.value), now));
        }
        looked
    }

    /// Ends an open alert; true when it had fired.
    fn end(&mut self, key: &(String, Labels), value: Option<f64>, now: Moment) -> bool {
        let Some(Open { mut alert, .. }) = self.open.remove(key) else { return false };
        if alert.state == State::Pending {
            self.unsaved.remove(&alert.alert_id);
            self.passed.insert(alert.alert_id);
            return false;
        }
        alert.state = State::Resolved;
        alert.value = value.unwrap_or(alert.value);
        alert.resolved_at = Some(now.wall);
        alert.updated_at = now.wall;
        self.unsaved.insert(alert.alert_id.clone());
        self.over.insert(alert.alert_id.clone(), alert);
        true
    }

    /// Ends the alerts of rules that are no longer in the table.
    pub fn drop_unknown(&mut self, rules: &Rules, now: Moment) {
        let is_unknown = |(name, _): &&(String, Labels)| rules.find(name).is_none();
        let unknown: Vec<_> = self.open.keys().filter(is_unknown).cloned().collect();
        for key in unknown {
            tracing::info!(rule = key.0, "the rule is no longer in the table; its alert has ended");
            self.end(&key, None, now);
        }
    }

    /// Takes over what people did to open alerts: they are acknowledged in the warehouse.
    pub fn acknowledged(&mut self, stored: &[Alert]) {
        for open in self.open.values_mut() {
            let Some(known) = stored.iter().find(|known| known.alert_id == open.alert.alert_id) else {
                continue;
            };
            open.alert.acknowledged_at = known.acknowledged_at;
            open.alert.acknowledged_by.clone_from(&known.acknowledged_by);
            open.alert.note.clone_from(&known.note);
        }
    }

    /// The open alerts, by rule and labels.
    pub fn open(&self) -> impl Iterator<Item = &Alert> {
        self.open.values().map(|open| &open.alert)
    }

    /// What is to be stored, in the order of time.
    pub fn writes(&self) -> Vec<Write> {
        let kept = self.open().chain(self.over.values());
        let mut writes: Vec<(String, Write)> = kept
            .filter(|alert| self.unsaved.contains(&alert.alert_id))
            .map(|alert| (alert.alert_id.clone(), Write::Keep(Box::new(alert.clone()))))
            .chain(self.passed.iter().map(|id| (id.clone(), Write::Forget(id.clone()))))
            .collect();
        writes.sort_by(|(a, _), (b, _)| a.cmp(b));
        writes.into_iter().map(|(_, write)| write).collect()
    }

    /// What [`writes`](Self::writes) gave is stored.
    pub fn saved(&mut self) {
        self.unsaved.clear();
        self.passed.clear();
        self.over.retain(|_, alert| alert.announced != Announced::Resolved);
    }

    /// The notifications that are due now, by rule and labels, each alert in order. Call
    /// [`announced`](Self::announced) for each that was.
    ///
    /// While an alert is silenced, its firing is not notified; if it still fires when the silence ends,
    /// it is. If the firing was notified, the end is, too, with `is_silenced` if it is silenced then.
    /// After an acknowledgement, only the end is notified.
    pub fn announcements(&mut self, rules: &Rules, silences: &[Silence], now: Millis) -> Vec<Announcement> {
        let mut announcements = Vec::new();
        let mut unannounced = Vec::new();
        for alert in self.over.values().chain(self.open.values().map(|open| &open.alert)) {
            let is_silenced = silences
                .iter()
                .any(|silence| silence.lasts_at(now) && silence.is_about(&alert.rule, &alert.labels));
            let rule = rules.find(&alert.rule);
            let is_told = alert.announced == Announced::Firing;
            let is_over = alert.state == State::Resolved;
            let may_fire = !is_told && !is_silenced && alert.acknowledged_at.is_none();
            let mut tell = |change, rule: &Rule| {
                let (alert, rule) = (alert.clone(), rule.clone());
                announcements.push(Announcement { alert, change, rule, is_silenced });
            };
            match (alert.state, rule) {
                (State::Pending, _) => {}
                _ if alert.announced == Announced::Resolved => {}
                (State::Firing, Some(rule)) if may_fire => tell(Change::Fired, rule),
                (State::Resolved, Some(rule)) if is_told || may_fire => {
                    // It fired and ended between two notifications.
                    if !is_told {
                        tell(Change::Fired, rule);
                    }
                    tell(Change::Resolved, rule);
                }
                _ if is_over => unannounced.push(alert.alert_id.clone()),
                _ => {}
            }
        }
        for id in unannounced {
            self.announced(&id, Change::Resolved);
        }
        // Not by the wall clock, which may have gone back in between. The sort is stable, and so what
        // is over comes before what is open, and that an alert fired before that it ended.
        announcements.sort_by(|a, b| (&a.alert.rule, &a.alert.labels).cmp(&(&b.alert.rule, &b.alert.labels)));
        announcements
    }

    /// An announcement was taken over.
    pub fn announced(&mut self, alert_id: &str, change: Change) {
        let told = match change {
            Change::Fired => Announced::Firing,
            Change::Resolved => Announced::Resolved,
        };
        let open = self.open.values_mut().map(|open| &mut open.alert);
        if let Some(alert) = open.chain(self.over.values_mut()).find(|alert| alert.alert_id == alert_id) {
            alert.announced = told;
            self.unsaved.insert(alert_id.to_owned());
        }
    }

    /// True when something is to be stored.
    pub fn is_unsaved(&self) -> bool {
        !self.unsaved.is_empty() || !self.passed.is_empty()
    }
}

fn came_up(rule: &Rule, reading: &Reading, now: Moment, alert_id: String) -> Alert {
    Alert {
        alert_id,
        rule: rule.name.clone(),
        labels: reading.labels.clone(),
        severity: rule.severity,
        state: State::Pending,
        value: reading.value,
        worst: reading.value,
        threshold: rule.bound.threshold(),
        context: reading.context.clone(),
        pending_since: now.wall,
        firing_since: None,
        resolved_at: None,
        updated_at: now.wall,
        acknowledged_at: None,
        acknowledged_by: None,
        note: String::new(),
        announced: Announced::Nothing,
    }
}
