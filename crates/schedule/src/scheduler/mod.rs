//! The scheduler itself. [`Scheduler::tick`] looks at everything once and does what is due.
//!
//! It reads the state again each time and keeps nothing that could not be lost: only which attempts are
//! its own children. An attempt that the table says is running and that is not a child of ours was left
//! by a scheduler that died, and is settled first. `queue.rs` makes runs of slots, `steps.rs` does the
//! steps of a run.

mod queue;
mod steps;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use adpipe_event::Millis;
use adpipe_metrics::{Metrics, Role};
use adpipe_runtime::Shutdown;
use adpipe_warehouse::Warehouse;
use jiff::Timestamp;

use crate::ScheduleError;
use crate::dag::{Dag, Dags};
use crate::execution::{EndedBy, Execution, Outcome, Report, TaskPrograms};
use crate::lease::{Candidate, Held, SCHEDULER};
use crate::process;
use crate::progress::{end_try, newest};
use crate::state::{RunKey, RunState, TaskState, Try, TryKey, millis};
use crate::store::Store;

/// How often old runs are looked for.
const HOUSEKEEPING: Duration = Duration::from_secs(600);

/// How the scheduler works.
#[derive(Debug, Clone)]
pub struct SchedulerConfig {
    /// What it runs.
    pub dags: Dags,
    /// How it starts tasks.
    pub programs: TaskPrograms,
    /// Tasks running at the same time.
    pub max_tasks: usize,
    /// After this time without a sign of life another scheduler takes over.
    pub lease: Duration,
    /// Pause between two looks when nothing happens.
    pub poll: Duration,
    /// How long finished runs and their logs are kept.
    pub keep_runs: Duration,
    /// False for a process that only performs what is queued and then ends.
    pub follows_schedules: bool,
}

/// The scheduler of a process; active only while it holds the lease.
pub struct Scheduler {
    config: SchedulerConfig,
    store: Store,
    metrics: Metrics,
    candidate: Candidate,
    lease: Option<Held>,
    is_active: Arc<AtomicBool>,
    executions: HashMap<TryKey, Execution>,
    reports: (Sender<Report>, Receiver<Report>),
    /// Heard of and not stored yet.
    unsaved: VecDeque<Report>,
    /// Tries left by a dead scheduler, since when they are known.
    orphans: HashMap<TryKey, Instant>,
    run_started: HashMap<RunKey, Instant>,
    /// When each DAG was first seen, and the slot that was last looked at.
    seen: HashMap<String, Timestamp>,
    handled: HashMap<String, Timestamp>,
    kept_house: Option<Instant>,
}

/// The result of a measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tick {
    /// Another scheduler is active.
    StandBy,
    /// Something was changed: look again at once.
    Changed,
    /// Runs are going; nothing to do for the moment.
    Waiting,
    /// No run is queued or going.
    Idle,
}

impl Scheduler {
    /// A scheduler that stands by; its first [`tick`](Self::tick) looks for the lease.
    pub fn new(config: SchedulerConfig, warehouse: Arc<dyn Warehouse>, metrics: Metrics) -> Scheduler {
        metrics.play(Role::Scheduler);
        for dag in config.dags.iter() {
            metrics.see_dag(&dag.id);
        }
        Scheduler {
            candidate: Candidate::new(SCHEDULER, config.lease),
            store: Store::new(warehouse),
            metrics,
            lease: None,
            is_active: Arc::default(),
            executions: HashMap::new(),
            reports: channel(),
            unsaved: VecDeque::new(),
            orphans: HashMap::new(),
            run_started: HashMap::new(),
            seen: HashMap::new(),
            handled: HashMap::new(),
            kept_house: None,
            config,
        }
    }

    /// True while it holds the lease.
    pub fn is_active(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_active)
    }

    /// Works until the switch is off; a scheduler that follows no schedules also ends when it has
    /// worked off everything. Tasks that run then are ended, and tried again by the next scheduler.
    ///
    /// # Errors
    /// If the warehouse cannot continue without intervention.
    pub fn run(&mut self, shutdown: &Shutdown) -> Result<(), ScheduleError> {
        let mut trouble = None;
        let outcome = loop {
            if shutdown.is_triggered() {
                break Ok(());
            }
            let looked = self.tick(Timestamp::now());
            if looked.is_ok() && trouble.take().is_some() {
                tracing::info!("the scheduler continues");
            }
            let pause = match looked {
                Ok(Tick::Changed) => Duration::ZERO,
                Ok(Tick::Idle) if !self.config.follows_schedules => break Ok(()),
                Ok(_) => self.config.poll,
                Err(ScheduleError::Fenced) => {
                    tracing::warn!("another scheduler has taken over; standing by");
                    self.config.poll
                }
                Err(error) if error.is_transient() => {
                    // Said once, not at every look.
                    let reason = error.to_string();
                    if trouble.as_ref() != Some(&reason) {
                        tracing::warn!("the scheduler waits: {reason}");
                        trouble = Some(reason);
                    }
                    self.config.poll
                }
                Err(error) => break Err(error),
            };
            self.listen(pause, shutdown);
        };
        self.stop();
        outcome
    }

    /// Waits for something to happen, in steps short enough for the switch.
    fn listen(&mut self, pause: Duration, shutdown: &Shutdown) {
        let until = Instant::now() + pause;
        loop {
            let step = until.saturating_duration_since(Instant::now()).min(Duration::from_millis(100));
            match self.reports.1.recv_timeout(step) {
                Ok(report) => return self.unsaved.push_back(report),
                Err(RecvTimeoutError::Timeout) if Instant::now() < until && !shutdown.is_triggered() => {}
                Err(_) => return,
            }
        }
    }

    /// One look at everything. `now` is the wall clock, which may jump: it decides which slots and
    /// retries are due, and nothing else.
    ///
    /// # Errors
    /// [`ScheduleError::Fenced`] when another scheduler has taken over; of the warehouse.
    pub fn tick(&mut self, now: Timestamp) -> Result<Tick, ScheduleError> {
        if self.lease.is_none() && !self.take_lease()? {
            return Ok(Tick::StandBy);
        }
        let ticked = self.work(now);
        if matches!(ticked, Err(ScheduleError::Fenced)) {
            self.give_up();
        } else if self.lease.as_ref().is_some_and(Held::is_in_doubt) {
            self.end_all(EndedBy::Shutdown);
        }
        ticked
    }

    fn work(&mut self, now: Timestamp) -> Result<Tick, ScheduleError> {
        let mut changed = self.save_reports(now)?;
        if self.config.follows_schedules {
            changed |= self.queue_slots(now)?;
        }
        let runs = self.store.active()?;
        let tries = self.store.active_tries()?;
        self.settle_orphans(&tries);
        self.end_overdue();
        for run in &runs {
            let newest = newest(&tries, &run.key());
            changed |= match run.state {
                RunState::Queued => self.start_run(run, &runs, &newest, now)?,
                _ => self.move_on(run, &newest, now)?,
            };
        }
        self.run_started.retain(|key, _| runs.iter().any(|run| run.key() == *key));
        self.keep_house(now)?;
        if let Some(lease) = self.lease.as_mut().filter(|lease| lease.wants_renewal()) {
            self.store.write_fenced(lease, |_| Ok(()))?;
        }
        Ok(match (changed, runs.is_empty() && self.executions.is_empty()) {
            (true, _) => Tick::Changed,
            (false, true) => Tick::Idle,
            (false, false) => Tick::Waiting,
        })
    }

    fn take_lease(&mut self) -> Result<bool, ScheduleError> {
        self.lease = self.candidate.try_take(self.store.warehouse())?;
        if self.lease.is_none() {
            return Ok(false);
        }
        self.is_active.store(true, Ordering::Relaxed);
        for (dag_id, at) in self.store.last_successes()? {
            self.metrics.dag_succeeded(&dag_id, at.0 as f64 / 1_000.0);
        }
        tracing::info!("this scheduler is the active one");
        Ok(true)
    }

    fn held(&mut self) -> Result<(&mut Store, &mut Held), ScheduleError> {
        let lease = self.lease.as_mut().ok_or(ScheduleError::Fenced)?;
        Ok((&mut self.store, lease))
    }

    fn dag(&self, id: &str) -> Option<Dag> {
        self.config.dags.find(id).cloned()
    }

    /// Stores what was heard of. What cannot be stored now stays in line.
    fn save_reports(&mut self, now: Timestamp) -> Result<bool, ScheduleError> {
        while let Ok(report) = self.reports.1.try_recv() {
            self.unsaved.push_back(report);
        }
        let mut changed = false;
        while let Some(report) = self.unsaved.pop_front() {
            if let Err(error) = self.save(&report, now) {
                self.unsaved.push_front(report);
                return Err(error);
            }
            changed = true;
        }
        Ok(changed)
    }

    fn save(&mut self, report: &Report, now: Timestamp) -> Result<(), ScheduleError> {
        let Report { key, outcome } = report;
        // One that was given up is no longer ours to write about.
        if !self.executions.contains_key(key) && !self.orphans.contains_key(key) {
            return Ok(());
        }
        let dag = self.dag(&key.run.dag_id);
        let by = self.executions.get(key).and_then(Execution::ended_by);
        let tries = self.store.tries(&key.run)?;
        if let Some(ended) = tries.iter().find(|one| one.key == *key) {
            let (store, lease) = self.held()?;
            store.write_fenced(lease, |changes| {
                end_try(changes, dag.as_ref(), ended, outcome, by, millis(now))
            })?;
        }
        self.executions.remove(key);
        self.orphans.remove(key);
        Ok(())
    }

    /// Attempts that run by the table and are not children of ours: waits until nothing of them lives,
    /// kills what does not end by itself, then reports them as lost.
    fn settle_orphans(&mut self, tries: &[Try]) {
        for left in tries.iter().filter(|one| one.state == TaskState::Running) {
            if self.executions.contains_key(&left.key) {
                continue;
            }
            if self.unsaved.iter().any(|report| report.key == left.key) {
                continue;
            }
            let since = self.orphans.entry(left.key.clone()).or_insert_with(Instant::now).elapsed();
            let grace = self.config.programs.grace;
            if process::holds_log(left.log_file.as_ref()) && since < grace * 3 {
                if since > grace {
                    process::kill_group_of(left.log_file.as_ref());
                }
                continue;
            }
            let lost = Outcome::Lost("its scheduler ended while it ran".to_owned());
            self.unsaved.push_back(Report { key: left.key.clone(), outcome: lost });
        }
    }

    fn end_overdue(&mut self) {
        for execution in self.executions.values_mut().filter(|execution| execution.is_overdue()) {
            execution.end(EndedBy::TaskTimeout);
        }
    }

    /// Removes runs that are kept no longer, and their logs.
    fn keep_house(&mut self, now: Timestamp) -> Result<(), ScheduleError> {
        if self.kept_house.is_some_and(|last| last.elapsed() < HOUSEKEEPING) {
            return Ok(());
        }
        self.kept_house = Some(Instant::now());
        let keep = i64::try_from(self.config.keep_runs.as_millis()).unwrap_or(i64::MAX);
        let limit = Millis(millis(now).0.saturating_sub(keep));
        let (store, lease) = self.held()?;
        let forgotten = store.write_fenced(lease, |changes| Ok(changes.forget(limit)?))?;
        for run in forgotten {
            let folder = self.config.programs.run_folder(&run);
            if let Err(error) = std::fs::remove_dir_all(&folder)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(folder = %folder.display(), %error, "cannot remove old logs");
            }
        }
        Ok(())
    }

    fn end_all(&mut self, by: EndedBy) {
        self.executions.values_mut().for_each(|execution| execution.end(by));
    }

    /// Another scheduler is active: ours must end, and we write nothing more.
    fn give_up(&mut self) {
        self.end_all(EndedBy::Shutdown);
        self.executions.clear();
        self.orphans.clear();
        self.unsaved.clear();
        self.run_started.clear();
        self.handled.clear();
        self.seen.clear();
        self.lease = None;
        self.is_active.store(false, Ordering::Relaxed);
        self.candidate = Candidate::new(SCHEDULER, self.config.lease);
    }

    /// Ends the tasks in order, stores how they ended, and drops the lease.
    fn stop(&mut self) {
        if self.lease.is_none() {
            return;
        }
        self.end_all(EndedBy::Shutdown);
        let limit = Instant::now() + self.config.programs.grace + Duration::from_secs(5);
        let mut saved = self.save_reports(Timestamp::now());
        while !self.executions.is_empty() && saved.is_ok() && Instant::now() < limit {
            if let Ok(report) = self.reports.1.recv_timeout(Duration::from_millis(100)) {
                self.unsaved.push_back(report);
            }
            saved = self.save_reports(Timestamp::now());
        }
        let released = saved.and_then(|_| match self.lease.take() {
            Some(lease) => self.store.write(|changes| lease.release(changes.transaction())),
            None => Ok(()),
        });
        self.is_active.store(false, Ordering::Relaxed);
        if let Err(error) = released {
            tracing::warn!(%error, "the scheduler's last changes could not be stored; the next scheduler corrects this");
        }
    }
}
