//! The steps of a run: it begins, its tasks are started, it ends.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::Scheduler;
use crate::ScheduleError;
use crate::dag::{Dag, Task};
use crate::execution::{EndedBy, Outcome, Report};
use crate::placeholders::Values;
use crate::progress::{Newest, begin, conclusion, end_run};
use crate::state::{Run, RunKind, RunState, TaskState, Try, TryKey, millis};

impl Scheduler {
    pub(super) fn start_run(
        &mut self,
        run: &Run,
        all: &[Run],
        newest: &Newest<'_>,
        now: Timestamp,
    ) -> Result<bool, ScheduleError> {
        let is_before = |other: &&Run| {
            let backfilled = |run: &Run| run.kind == RunKind::Backfill;
            let is_running = other.state == RunState::Running;
            // Backfills wait for everything else.
            other.dag_id == run.dag_id && (is_running || (backfilled(run) && !backfilled(other)))
        };
        if all.iter().any(|other| is_before(&other)) {
            return Ok(false);
        }
        let (dag, key) = (self.dag(&run.dag_id), run.key());
        let (store, lease) = self.held()?;
        store.write_fenced(lease, |changes| match &dag {
            Some(dag) => {
                // Of two that are queued, the second is refused here, until the first has ended.
                let is_started = changes.start_run(&key, millis(now))?;
                if is_started {
                    begin(changes, dag, &key, newest, millis(now))?;
                }
                Ok(is_started)
            }
            None => {
                let message = "this DAG is no longer defined";
                Ok(changes.finish_run(&key, RunState::Failed, millis(now), message)?)
            }
        })
    }

    /// One step of a run that is going.
    pub(super) fn move_on(
        &mut self,
        run: &Run,
        newest: &Newest<'_>,
        now: Timestamp,
    ) -> Result<bool, ScheduleError> {
        let dag = self.dag(&run.dag_id);
        if let Some((state, message)) = conclusion(newest) {
            return self.finish_run(run, state, &message, now);
        }
        let end = match &dag {
            None => Some((EndedBy::Cancel, TaskState::Cancelled, "this DAG is no longer defined")),
            _ if run.cancel_requested => Some((EndedBy::Cancel, TaskState::Cancelled, "cancelled")),
            Some(dag) if self.is_run_overdue(run, dag, now) => {
                Some((EndedBy::RunTimeout, TaskState::Failed, "the run took too long"))
            }
            Some(_) => None,
        };
        if let (Some(dag), None) = (&dag, end) {
            return self.start_tasks(run, dag, newest, now);
        }
        let Some((by, state, message)) = end else { return Ok(false) };
        let mut changed = false;
        for last in newest.values() {
            match last.state {
                TaskState::Waiting => changed |= self.finish_try(&last.key, state, message, now)?,
                TaskState::Running => {
                    self.executions.get_mut(&last.key).into_iter().for_each(|execution| execution.end(by));
                }
                _ => {}
            }
        }
        Ok(changed)
    }

    fn finish_try(
        &mut self,
        key: &TryKey,
        state: TaskState,
        message: &str,
        now: Timestamp,
    ) -> Result<bool, ScheduleError> {
        let (store, lease) = self.held()?;
        store.write_fenced(lease, |changes| Ok(changes.finish_try(key, state, millis(now), None, message)?))
    }

    /// Measured on a clock that only runs forward, from when this scheduler first saw the run going.
    fn is_run_overdue(&mut self, run: &Run, dag: &Dag, now: Timestamp) -> bool {
        let seen = *self.run_started.entry(run.key()).or_insert_with(|| {
            let ran = run.started_at.map_or(0, |start| millis(now).0 - start.0);
            // One that was resumed has run before. A clock that jumped since then is not believed.
            let ran = Duration::from_millis(ran.max(0).unsigned_abs()).min(dag.timeout / 2);
            Instant::now().checked_sub(ran).unwrap_or_else(Instant::now)
        });
        seen.elapsed() > dag.timeout
    }

    fn start_tasks(
        &mut self,
        run: &Run,
        dag: &Dag,
        newest: &Newest<'_>,
        now: Timestamp,
    ) -> Result<bool, ScheduleError> {
        let mut changed = false;
        for last in newest.values().filter(|last| last.state == TaskState::Waiting) {
            let Some(task) = dag.task(&last.key.task_id) else {
                changed |=
                    self.finish_try(&last.key, TaskState::Cancelled, "this task is no longer defined", now)?;
                continue;
            };
            let before: Vec<TaskState> =
                task.after.iter().filter_map(|id| newest.get(id.as_str())).map(|other| other.state).collect();
            let is_blocked = |state: &TaskState| state.is_finished() && *state != TaskState::Success;
            if before.iter().any(is_blocked) {
                let message = "a task before it failed";
                changed |= self.finish_try(&last.key, TaskState::UpstreamFailed, message, now)?;
            } else if before.iter().all(|state| *state == TaskState::Success)
                && is_due(last, task, now)
                && self.executions.len() < self.config.max_tasks
            {
                changed |= self.start_task(run, dag, task, &last.key, now)?;
            }
        }
        Ok(changed)
    }

    fn start_task(
        &mut self,
        run: &Run,
        dag: &Dag,
        task: &Task,
        key: &TryKey,
        now: Timestamp,
    ) -> Result<bool, ScheduleError> {
        let values = Values {
            zone: &dag.zone,
            interval: run.interval(),
            dag_id: &dag.id,
            run_id: &run.run_id,
            task_id: &task.id,
            try_number: key.try_number,
        };
        let command: Vec<String> = task.command.iter().map(|word| values.fill(word)).collect();
        let env = task.env.iter().map(|(name, value)| (name.clone(), values.fill(value))).collect();
        let programs = self.config.programs.clone();
        let log_file = programs.log_file(key).display().to_string();
        let shown = serde_json::Value::from(command.clone()).to_string();
        let (store, lease) = self.held()?;
        let is_started = store
            .write_fenced(lease, |changes| Ok(changes.start_try(key, millis(now), &shown, &log_file)?))?;
        if !is_started {
            return Ok(false);
        }
        match programs.start(key, &command, &env, task.timeout, &self.reports.0) {
            Ok(execution) => {
                self.executions.insert(key.clone(), execution);
            }
            Err(error) => {
                self.orphans.insert(key.clone(), Instant::now());
                let outcome = Outcome::Lost(error.to_string());
                self.unsaved.push_back(Report { key: key.clone(), outcome });
            }
        }
        Ok(true)
    }

    fn finish_run(
        &mut self,
        run: &Run,
        state: RunState,
        message: &str,
        now: Timestamp,
    ) -> Result<bool, ScheduleError> {
        let dags = self.config.dags.clone();
        let (store, lease) = self.held()?;
        let is_finished =
            store.write_fenced(lease, |changes| end_run(changes, &dags, run, state, message, millis(now)))?;
        if !is_finished {
            return Ok(false);
        }
        let seconds = run.took_ms(millis(now)).unwrap_or(0) as f64 / 1_000.0;
        self.metrics.dag_finished(&run.dag_id, state.word(), seconds);
        match state {
            RunState::Success => {
                self.metrics.dag_succeeded(&run.dag_id, millis(now).0 as f64 / 1_000.0);
                tracing::info!(dag = run.dag_id, run = run.run_id, seconds, "run succeeded");
            }
            RunState::Failed => {
                tracing::error!(dag = run.dag_id, run = run.run_id, reason = message, "run failed");
            }
            _ => tracing::warn!(dag = run.dag_id, run = run.run_id, reason = message, "run was cancelled"),
        }
        Ok(true)
    }
}

/// Whether a waiting try may start. A clock that was set back since it failed does not make it wait
/// longer than its longest delay.
fn is_due(waiting: &Try, task: &Task, now: Timestamp) -> bool {
    let ahead = waiting.due_at.0 - millis(now).0;
    ahead <= 0 || ahead > i64::try_from(task.max_retry_delay.as_millis()).unwrap_or(i64::MAX)
}
