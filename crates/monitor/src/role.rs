//! The monitor: measures, evaluates, stores and announces, on one process at a time.
//!
//! [`Monitor::look`] is the whole of it; [`Monitor::run`] repeats it. It keeps its state in memory
//! and writes what changed in a transaction that checks its lease (`leased_store.rs`), so it goes on while
//! the warehouse does not answer: alerts come up, fire and are announced, and are written when the
//! warehouse is back. What was announced is marked in the warehouse afterwards; who dies in between
//! announces it again, and the announcer knows it by alert and change.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adpipe_event::Millis;
use adpipe_metrics::{Metrics, Role};
use adpipe_runtime::Shutdown;
use adpipe_warehouse::{Warehouse, WarehouseError};

use crate::alert::{Alert, Silence, State};
use crate::announce::Announce;
use crate::error::MonitorError;
use crate::evaluate::{Evaluator, Moment};
use crate::figures::{self, Measure, Sources, collect};
use crate::history;
use crate::journal::Journal;
use crate::leased_store::{LeasedStore, Stored, Turn};
use crate::rules::{Rule, Rules};
use crate::signal::Reading;
use crate::store;
use adpipe_runtime::BoundedWorker;

/// How long an answer of the warehouse is waited for.
const WAREHOUSE_TIMEOUT: Duration = Duration::from_secs(5);

/// The lease lasts at least this long: an attempt to reach a dead server may take a while.
const SHORTEST_LEASE: Duration = Duration::from_secs(60);

/// How the monitor works.
#[derive(Debug, Clone)]
pub struct MonitorConfig {
    /// When a measurement needs attention.
    pub rules: Rules,
    /// Pause between two looks.
    pub every: Duration,
    /// How long alerts that are over are kept.
    pub keep: Duration,
    /// Where this machine keeps what could not be stored, while the warehouse is down; none to keep
    /// it in memory only.
    pub folder: Option<PathBuf>,
}

/// Measures a signal.
pub type MeasureFn = Arc<dyn Fn(&Measure, Millis) -> Result<Vec<Reading>, MonitorError> + Send + Sync>;

/// Keeps what was measured for charts.
pub type RecordFn = Arc<dyn Fn(Millis) -> Result<(), MonitorError> + Send + Sync>;

/// Where the monitor's figures come from, and where they go.
#[derive(Clone)]
pub struct Figures {
    /// Measures a signal.
    pub measure: MeasureFn,
    /// Called once a look, while the warehouse answers.
    pub record: RecordFn,
}

impl Figures {
    /// Of the running pipeline.
    pub fn of(sources: Sources, metrics: Metrics) -> Figures {
        let measured = sources.clone();
        Figures {
            measure: Arc::new(move |measure, now| figures::measure(&measured, measure, now)),
            record: Arc::new(move |now| {
                collect::collect(&sources, &metrics, now);
                history::record(&sources, now).map(drop)
            }),
        }
    }
}

/// What each rule's signal gave, or why it could not be measured; by the rule's name.
pub type Measured = BTreeMap<String, Result<Vec<Reading>, String>>;

/// The result of a measurement.
#[derive(Debug, Clone, PartialEq)]
pub enum Look {
    /// Another monitor is running, or may be.
    StandBy {
        /// It is known to be alive.
        sees_life: bool,
    },
    /// This one is.
    Done(Measured),
}

/// The monitor of a process; active only while it holds the lease.
pub struct Monitor {
    config: MonitorConfig,
    figures: Figures,
    announcer: Box<dyn Announce>,
    metrics: Metrics,
    begun: Instant,
    leased_store: BoundedWorker<LeasedStore>,
    /// Holds the lease, as far as it knows.
    is_active: bool,
    evaluator: Evaluator,
    silences: Vec<Silence>,
    journal: Option<Journal>,
    complaint: Complaint,
}

impl Monitor {
    /// A monitor that stands by; its first [`look`](Self::look) looks for the lease.
    ///
    /// # Errors
    /// When its thread cannot be started.
    pub fn new(
        config: MonitorConfig,
        warehouse: Arc<dyn Warehouse>,
        figures: Figures,
        announcer: Box<dyn Announce>,
        metrics: Metrics,
    ) -> Result<Monitor, MonitorError> {
        let leased_store = LeasedStore::new(warehouse, SHORTEST_LEASE.max(config.every * 4), config.keep);
        Ok(Monitor {
            leased_store: BoundedWorker::start("monitor-store", leased_store)?,
            journal: config.folder.as_deref().map(Journal::new),
            config,
            figures,
            announcer,
            metrics,
            begun: Instant::now(),
            is_active: false,
            evaluator: Evaluator::default(),
            silences: Vec::new(),
            complaint: Complaint::default(),
        })
    }

    /// Works until the switch is off. No failure ends it: the watcher must not be the first to stop.
    pub fn run(&mut self, shutdown: &Shutdown) {
        self.metrics.play(Role::Monitor);
        while !shutdown.is_triggered() {
            let began = Instant::now();
            match self.look(self.now(), &|_| true) {
                Ok(_) => {}
                Err(error) if error.is_fenced() => {
                    tracing::warn!("another monitor has taken over; standing by");
                }
                Err(error) => self.complaint.note(error.to_string()),
            }
            self.complaint.tell();
            shutdown.sleep(self.config.every.saturating_sub(began.elapsed()));
        }
        self.stop();
    }

    /// The moment, as this monitor's looks count it.
    pub fn now(&self) -> Moment {
        Moment { wall: Millis::now(), steady: self.begun.elapsed() }
    }

    /// Measures once and does what is due, for those rules that are `chosen`.
    ///
    /// # Errors
    /// [`MonitorError::is_fenced`] when another monitor has taken over; of the warehouse, when there is
    /// no lease yet. While it holds the lease and the warehouse does not answer, it continues.
    pub fn look(&mut self, now: Moment, chosen: &dyn Fn(&Rule) -> bool) -> Result<Look, MonitorError> {
        if !self.is_active {
            match self
                .leased_store
                .ask(WAREHOUSE_TIMEOUT, LeasedStore::begin)
                .ok_or(MonitorError::Silent)??
            {
                Turn::StandBy { sees_life } => return Ok(Look::StandBy { sees_life }),
                Turn::Active(stored) => self.resume(stored, now),
            }
        }
        // First, what a monitor that died could no longer notify.
        self.announce(now);
        let measured = self.measure(chosen, now.wall);
        for rule in self.config.rules.iter() {
            if let Some(Ok(readings)) = measured.get(&rule.name) {
                let looked = self.evaluator.look(rule, readings, now, &mut || store::new_id(now.wall));
                tracing::debug!(rule = rule.name, ?looked, "looked");
            }
        }
        self.save(now)?;
        self.announce(now);
        if self.evaluator.is_unsaved() {
            self.save(now)?;
        }
        self.record(now.wall);
        self.show();
        Ok(Look::Done(measured))
    }

    /// The alerts that are open, as this monitor knows them.
    pub fn open(&self) -> impl Iterator<Item = &Alert> {
        self.evaluator.open()
    }

    /// The silences that it knows.
    pub fn silences(&self) -> &[Silence] {
        &self.silences
    }

    /// Whether anybody gets to hear of what it announces.
    pub fn reaches_people(&self) -> bool {
        self.announcer.reaches_people()
    }

    /// What did not work in the newest measurements, for a single check.
    pub fn take_trouble(&mut self) -> Option<String> {
        self.complaint.noted.take()
    }

    fn resume(&mut self, stored: Stored, now: Moment) {
        self.is_active = true;
        self.evaluator = Evaluator::resume(stored.alerts, now);
        if let Some(journal) = &self.journal {
            self.evaluator.adopt(journal.read(), now);
        }
        self.evaluator.drop_unknown(&self.config.rules, now);
        self.silences = stored.silences;
        tracing::info!("this monitor is the active one");
    }

    /// What needs no warehouse is measured here, the rest on the thread that may hang.
    fn measure(&mut self, chosen: &dyn Fn(&Rule) -> bool, now: Millis) -> Measured {
        let rules: Vec<&Rule> = self.config.rules.iter().filter(|rule| chosen(rule)).collect();
        let mut measured = Measurements::new(Arc::clone(&self.figures.measure), now);
        let (elsewhere, here): (Vec<&Rule>, Vec<&Rule>) =
            rules.into_iter().partition(|rule| rule.signal.needs_warehouse());
        let mut found = measured.of(&here);
        let asked: Vec<Rule> = elsewhere.iter().map(|rule| (*rule).clone()).collect();
        let answer =
            self.leased_store.ask(WAREHOUSE_TIMEOUT, move |_| measured.of(&asked.iter().collect::<Vec<_>>()));
        match answer {
            Some(answer) => found.extend(answer),
            None => {
                let silent = || Err(MonitorError::Silent.to_string());
                found.extend(elsewhere.iter().map(|rule| (rule.name.clone(), silent())));
            }
        }
        found
    }

    /// Stores what changed; while the warehouse does not answer it stays in memory.
    fn save(&mut self, now: Moment) -> Result<(), MonitorError> {
        let writes = self.evaluator.writes();
        match self
            .leased_store
            .ask(WAREHOUSE_TIMEOUT, move |leased_store| leased_store.save(&writes, now.wall))
        {
            Some(Ok(stored)) => {
                self.evaluator.saved();
                self.evaluator.acknowledged(&stored.alerts);
                self.silences = stored.silences;
                self.note_unstored();
                Ok(())
            }
            Some(Err(error)) if error.is_fenced() => {
                self.give_up();
                Err(error)
            }
            Some(Err(MonitorError::Warehouse(WarehouseError::Statement(reason)))) => {
                // Another process has written to the tables. What is stored counts: read it again.
                self.is_active = false;
                Err(MonitorError::Warehouse(WarehouseError::Statement(reason)))
            }
            failed => {
                let error = failed.and_then(Result::err).unwrap_or(MonitorError::Silent);
                self.complaint.note(error.to_string());
                self.note_unstored();
                Ok(())
            }
        }
    }

    /// Writes what is in memory alone to this machine's disk; usually nothing.
    fn note_unstored(&mut self) {
        let unstored = self.evaluator.unstored();
        if let Some(Err(error)) = self.journal.as_mut().map(|journal| journal.write(&unstored)) {
            self.complaint.note(format!("alerts that are not stored cannot be kept in the journal: {error}"));
        }
    }

    fn record(&mut self, now: Millis) {
        if self.complaint.is_noted() {
            return;
        }
        let record = Arc::clone(&self.figures.record);
        if let Some(Err(error)) = self.leased_store.ask(WAREHOUSE_TIMEOUT, move |_| record(now)) {
            self.complaint.note(error.to_string());
        }
    }

    /// Hands over the notifications. What cannot be handed over now comes with the next measurement.
    fn announce(&mut self, now: Moment) {
        for announcement in self.evaluator.announcements(&self.config.rules, &self.silences, now.wall) {
            match self.announcer.announce(&announcement) {
                Ok(()) => self.evaluator.announced(&announcement.alert.alert_id, announcement.change),
                Err(reason) => {
                    self.complaint.note(format!("an alert cannot be announced: {reason}"));
                    return;
                }
            }
        }
    }

    /// Sets the gauges.
    fn show(&self) {
        for rule in self.config.rules.iter() {
            for state in [State::Pending, State::Firing] {
                let is_it = |alert: &&Alert| alert.rule == rule.name && alert.state == state;
                let count = self.evaluator.open().filter(is_it).count();
                self.metrics.alerts.with_label_values(&[rule.name.as_str(), state.word()]).set(count as i64);
            }
        }
    }

    fn give_up(&mut self) {
        self.is_active = false;
        self.evaluator = Evaluator::default();
        self.metrics.alerts.reset();
        let _ = self.leased_store.ask(WAREHOUSE_TIMEOUT, LeasedStore::give_up);
    }

    /// Lets go of the lease, so that the next one need not wait.
    pub fn stop(&mut self) {
        self.is_active = false;
        match self.leased_store.ask(WAREHOUSE_TIMEOUT, LeasedStore::release) {
            Some(Ok(())) => {}
            Some(Err(error)) => tracing::warn!(%error, "the monitor could not release its lease"),
            None => {
                tracing::warn!("the monitor could not release its lease: the warehouse does not answer")
            }
        }
    }
}

/// What does not work, reported once and not with every measurement.
#[derive(Debug, Default)]
struct Complaint {
    noted: Option<String>,
    is_told: bool,
}

impl Complaint {
    fn note(&mut self, trouble: String) {
        tracing::debug!("the monitor: {trouble}");
        self.noted.get_or_insert(trouble);
    }

    fn is_noted(&self) -> bool {
        self.noted.is_some()
    }

    /// At the end of each look.
    fn tell(&mut self) {
        match self.noted.take() {
            Some(trouble) if !self.is_told => {
                tracing::warn!("the monitor continues without storing: {trouble}");
                self.is_told = true;
            }
            None if self.is_told => {
                tracing::info!("the monitor stores again");
                self.is_told = false;
            }
            _ => {}
        }
    }
}

/// Each signal and window is measured once a look, however many rules watch it.
struct Measurements {
    measure: MeasureFn,
    now: Millis,
    known: BTreeMap<Measure, Result<Vec<Reading>, String>>,
}

impl Measurements {
    fn new(measure: MeasureFn, now: Millis) -> Measurements {
        Measurements { measure, now, known: BTreeMap::new() }
    }

    fn of(&mut self, rules: &[&Rule]) -> Measured {
        let mut measured = Measured::new();
        for rule in rules {
            let what = Measure {
                signal: rule.signal,
                window: rule.window,
                short_window: rule.short_window,
                records: rule.records,
            };
            let readings = match self.known.get(&what) {
                Some(readings) => readings.clone(),
                None => (self.measure)(&what, self.now).map_err(|error| error.to_string()),
            };
            if let Err(error) = &readings {
                tracing::debug!(signal = what.signal.word(), error, "cannot be measured now");
            }
            self.known.insert(what, readings.clone());
            measured.insert(rule.name.clone(), readings);
        }
        measured
    }
}

/// Measures what the rules watch, for a process that is not the monitor.
pub fn measure_rules(figures: &Figures, rules: &Rules, now: Millis) -> Measured {
    Measurements::new(Arc::clone(&figures.measure), now).of(&rules.iter().collect::<Vec<_>>())
}
