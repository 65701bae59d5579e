//! The monitor: measures, evaluates, stores and announces, on one process at a time.
//!
//! [`Monitor::look`] is the whole of it; [`Monitor::run`] repeats it. It keeps its state in memory
//! and writes what changed in a transaction that checks its lease, so it goes on while the
//! warehouse does not answer: alerts come up, fire and are announced, and are written when the
//! warehouse is back. What was announced is marked in the warehouse afterwards; who dies in between
//! announces it again, and the announcer knows it by alert and change.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adpipe_event::Millis;
use adpipe_metrics::{Metrics, Role};
use adpipe_schedule::ScheduleError;
use adpipe_schedule::lease::{Candidate, Held, MONITOR};
use adpipe_stream::shutdown::Shutdown;
use adpipe_warehouse::{Schema, Session, Transaction, Warehouse, WarehouseError};

use crate::alert::{Silence, State};
use crate::announce::Announce;
use crate::error::MonitorError;
use crate::evaluate::{Evaluator, Moment};
use crate::figures::{self, Measure, Sources, collect};
use crate::rules::{Rule, Rules};
use crate::signal::Reading;
use crate::{history, store};

/// How often what is kept no longer is looked for.
const HOUSEKEEPING: Duration = Duration::from_secs(600);

/// The lease's time is at least so long: an attempt to reach a dead server may take a while.
const SHORTEST_LEASE: Duration = Duration::from_secs(60);

/// How the monitor works.
#[derive(Debug, Clone)]
pub struct MonitorConfig {
    /// When a measurement needs somebody.
    pub rules: Rules,
    /// Pause between two looks.
    pub every: Duration,
    /// How long alerts that are over are kept.
    pub keep: Duration,
}

/// Measures a signal.
pub type MeasureFn = Box<dyn FnMut(&Measure, Millis) -> Result<Vec<Reading>, MonitorError> + Send>;

/// Keeps what was measured for charts.
pub type RecordFn = Box<dyn FnMut(Millis) -> Result<(), MonitorError> + Send>;

/// Where the monitor's figures come from, and where they go.
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
            measure: Box::new(move |measure, now| figures::measure(&measured, measure, now)),
            record: Box::new(move |now| {
                collect::collect(&sources, &metrics, now);
                history::record(&sources, now).map(drop)
            }),
        }
    }
}

/// What a rule's signal gave, or why it could not be measured.
pub type Measured = BTreeMap<String, Result<Vec<Reading>, String>>;

/// What a look gave.
#[derive(Debug, Clone, PartialEq)]
pub enum Look {
    /// Another monitor is at work.
    StandBy,
    /// By rule.
    Done(Measured),
}

/// The monitor of a process; at work only while it holds the lease.
pub struct Monitor {
    config: MonitorConfig,
    warehouse: Arc<dyn Warehouse>,
    figures: Figures,
    announcer: Box<dyn Announce>,
    metrics: Metrics,
    begun: Instant,
    candidate: Candidate,
    lease: Option<Held>,
    session: Option<Box<dyn Session>>,
    evaluator: Evaluator,
    silences: Vec<Silence>,
    kept_house: Option<Instant>,
    /// What is wrong since when it was told, so that it is told once.
    told: Option<String>,
}

impl Monitor {
    /// A monitor that stands by; its first [`look`](Self::look) looks for the lease.
    pub fn new(
        config: MonitorConfig,
        warehouse: Arc<dyn Warehouse>,
        figures: Figures,
        announcer: Box<dyn Announce>,
        metrics: Metrics,
    ) -> Monitor {
        Monitor {
            candidate: Candidate::new(MONITOR, lease_time(config.every)),
            config,
            warehouse,
            figures,
            announcer,
            metrics,
            begun: Instant::now(),
            lease: None,
            session: None,
            evaluator: Evaluator::default(),
            silences: Vec::new(),
            kept_house: None,
            told: None,
        }
    }

    /// Works until the switch is off. Nothing that goes wrong ends it: who watches must not be the
    /// first to go.
    pub fn run(&mut self, shutdown: &Shutdown) {
        self.metrics.play(Role::Monitor);
        while !shutdown.is_triggered() {
            let began = Instant::now();
            match self.look(self.now(), &|_| true) {
                Ok(_) => {
                    if self.told.take().is_some() {
                        tracing::info!("the monitor goes on");
                    }
                }
                Err(error) if error.is_fenced() => {
                    tracing::warn!("another monitor has taken over; standing by")
                }
                Err(error) => self.tell_trouble(error.to_string()),
            }
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
    /// [`MonitorError::is_fenced`] when another monitor has taken over; of the warehouse, when there
    /// is no lease yet. While it holds the lease and the warehouse does not answer, it goes on.
    pub fn look(&mut self, now: Moment, chosen: &dyn Fn(&Rule) -> bool) -> Result<Look, MonitorError> {
        if self.lease.is_none() && !self.take_lease(now)? {
            return Ok(Look::StandBy);
        }
        // First of all what a monitor that died could not tell any more.
        self.announce(now);
        let measured = measure_all(&mut self.figures.measure, &self.config.rules, chosen, now.wall);
        let wall = now.wall;
        for rule in self.config.rules.iter() {
            if let Some(Ok(readings)) = measured.get(&rule.name) {
                let looked = self.evaluator.look(rule, readings, now, &mut || store::new_id(wall));
                tracing::debug!(rule = rule.name, ?looked, "looked");
            }
        }
        self.save_or_wait(now)?;
        self.announce(now);
        if self.evaluator.is_unsaved() {
            self.save_or_wait(now)?;
        }
        self.show();
        Ok(Look::Done(measured))
    }

    /// Whether somebody else is known to be at work.
    pub fn knows_another(&self) -> bool {
        self.lease.is_none() && self.candidate.saw_life()
    }

    /// The alerts that are open, as this monitor knows them.
    pub fn evaluator(&self) -> &Evaluator {
        &self.evaluator
    }

    fn take_lease(&mut self, now: Moment) -> Result<bool, MonitorError> {
        self.lease = self.candidate.try_take(self.warehouse.as_ref())?;
        if self.lease.is_none() {
            return Ok(false);
        }
        if let Err(error) = self.resume(now) {
            // The lease stays ours; what is stored has to be known before anything is done.
            self.give_up();
            return Err(error);
        }
        tracing::info!("this monitor is the active one");
        Ok(true)
    }

    fn resume(&mut self, now: Moment) -> Result<(), MonitorError> {
        self.silences = store::silences(self.warehouse.as_ref())?;
        self.evaluator = Evaluator::resume(store::unfinished(self.warehouse.as_ref())?, now);
        self.evaluator.drop_unknown(&self.config.rules, now);
        Ok(())
    }

    /// Stores what changed; while the warehouse does not answer it stays in memory.
    fn save_or_wait(&mut self, now: Moment) -> Result<(), MonitorError> {
        match self.save(now) {
            Ok(()) => Ok(()),
            Err(error) if error.is_fenced() => {
                self.give_up();
                Err(error)
            }
            Err(MonitorError::Warehouse(WarehouseError::Statement(reason))) => {
                // Somebody else has written to the tables. What is there counts.
                self.resume(now)?;
                Err(MonitorError::Warehouse(WarehouseError::Statement(reason)))
            }
            Err(error) => {
                self.tell_trouble(error.to_string());
                Ok(())
            }
        }
    }

    fn save(&mut self, now: Moment) -> Result<(), MonitorError> {
        let stored = store::open_alerts(self.warehouse.as_ref())?;
        self.evaluator.acknowledged(&stored);
        self.silences = store::silences(self.warehouse.as_ref())?;
        let writes = self.evaluator.writes();
        self.write_fenced(|transaction| store::save(transaction, &writes))?;
        self.evaluator.saved();
        if self.kept_house.is_none_or(|last| last.elapsed() >= HOUSEKEEPING) {
            let keep = i64::try_from(self.config.keep.as_millis()).unwrap_or(i64::MAX);
            let limit = Millis(now.wall.0.saturating_sub(keep).max(0));
            self.write_fenced(|transaction| store::retire(transaction, limit).map(drop))?;
            self.kept_house = Some(Instant::now());
        }
        (self.figures.record)(now.wall)
    }

    fn write_fenced(
        &mut self,
        work: impl FnOnce(&mut dyn Transaction) -> Result<(), WarehouseError>,
    ) -> Result<(), MonitorError> {
        let began = Instant::now();
        let lease = self.lease.as_mut().ok_or(ScheduleError::Fenced)?;
        let mut session = match self.session.take() {
            Some(session) => session,
            None => self.warehouse.session(Schema::Ops)?,
        };
        let mut transaction = session.begin()?;
        lease.fence(transaction.as_mut())?;
        work(transaction.as_mut())?;
        transaction.commit()?;
        lease.renewed(began);
        // A session that failed may be cut off from its server; this one did not.
        self.session = Some(session);
        Ok(())
    }

    /// Hands over what is to be told. What cannot be handed over now comes with the next look.
    fn announce(&mut self, now: Moment) {
        for announcement in self.evaluator.announcements(&self.config.rules, &self.silences, now.wall) {
            let (alert_id, change) = (&announcement.alert.alert_id, announcement.change);
            match self.announcer.announce(&announcement) {
                Ok(()) => self.evaluator.announced(alert_id, change),
                Err(reason) => {
                    self.tell_trouble(format!("an alert cannot be announced: {reason}"));
                    return;
                }
            }
        }
    }

    /// Sets the gauges.
    fn show(&self) {
        for rule in self.config.rules.iter() {
            for state in [State::Pending, State::Firing] {
                let is_it = |alert: &&store::Alert| alert.rule == rule.name && alert.state == state;
                let count = self.evaluator.open().filter(is_it).count();
                self.metrics.alerts.with_label_values(&[rule.name.as_str(), state.word()]).set(count as i64);
            }
        }
    }

    fn tell_trouble(&mut self, trouble: String) {
        if self.told.as_ref() != Some(&trouble) {
            tracing::warn!("the monitor: {trouble}");
            self.told = Some(trouble);
        }
    }

    fn give_up(&mut self) {
        self.lease = None;
        self.session = None;
        self.evaluator = Evaluator::default();
        self.metrics.alerts.reset();
        self.candidate = Candidate::new(MONITOR, lease_time(self.config.every));
    }

    /// Lets go of the lease, so that the next one need not wait.
    pub fn stop(&mut self) {
        let Some(lease) = self.lease.take() else { return };
        let released = (|| {
            let mut session = self.warehouse.session(Schema::Ops)?;
            let mut transaction = session.begin()?;
            lease.release(transaction.as_mut())?;
            Ok::<(), ScheduleError>(transaction.commit()?)
        })();
        if let Err(error) = released {
            tracing::warn!(%error, "the monitor could not let go of its lease; the next one waits for its end");
        }
    }
}

fn lease_time(every: Duration) -> Duration {
    SHORTEST_LEASE.max(every * 4)
}

/// Measures what the chosen rules watch, each signal and window once.
pub fn measure_all(
    measure: &mut MeasureFn,
    rules: &Rules,
    chosen: &dyn Fn(&Rule) -> bool,
    now: Millis,
) -> Measured {
    let mut known: BTreeMap<Measure, Result<Vec<Reading>, String>> = BTreeMap::new();
    let mut measured = Measured::new();
    for rule in rules.iter().filter(|rule| chosen(rule)) {
        let what = Measure {
            signal: rule.signal,
            window: rule.window,
            short_window: rule.short_window,
            records: rule.records,
        };
        let readings = known.entry(what.clone()).or_insert_with(|| {
            measure(&what, now).map_err(|error| {
                tracing::debug!(signal = what.signal.word(), %error, "cannot be measured now");
                error.to_string()
            })
        });
        measured.insert(rule.name.clone(), readings.clone());
    }
    measured
}
