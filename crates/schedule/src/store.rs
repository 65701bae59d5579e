//! Reading and writing `ops`: every statement of the scheduler by name.

use std::sync::Arc;

use adpipe_event::Millis;
use adpipe_sql::section;
use adpipe_warehouse::{
    FromRow, Schema, Session, Transaction, Value, Warehouse, WarehouseError, query_as, query_table,
};

use crate::ScheduleError;
use crate::lease::Held;
use crate::state::{Run, RunKey, RunKind, RunState, TaskState, Try, TryKey};

const RUNS: &str = include_str!("../sql/runs.sql");
const TASKS: &str = include_str!("../sql/tasks.sql");
const SEE_DAG: &str = section(RUNS, "see_dag");
const SEE_DAG_ANEW: &str = section(RUNS, "see_dag_anew");
const SEEN_DAGS: &str = section(RUNS, "seen_dags");
const INSERT: &str = section(RUNS, "insert");
const START: &str = section(RUNS, "start");
const FINISH: &str = section(RUNS, "finish");
const CANCEL_QUEUED: &str = section(RUNS, "cancel_queued");
const REQUEST_CANCEL: &str = section(RUNS, "request_cancel");
const AGAIN: &str = section(RUNS, "again");
const AGAIN_AS: &str = section(RUNS, "again_as");
const ACTIVE: &str = section(RUNS, "active");
const ONE: &str = section(RUNS, "one");
const AT_SLOT: &str = section(RUNS, "at_slot");
const NEWEST: &str = section(RUNS, "newest");
const NEWEST_ENDED: &str = section(RUNS, "newest_ended");
const NEWEST_OF_ALL: &str = section(RUNS, "newest_of_all");
const OF_CAUSE: &str = section(RUNS, "of_cause");
const LAST_SUCCESS: &str = section(RUNS, "last_success");
const FORGETTABLE: &str = section(RUNS, "forgettable");
const FORGET: &str = section(RUNS, "forget");
const FORGET_TRIES_OF: &str = section(RUNS, "forget_tries_of");
const WAIT: &str = section(TASKS, "wait");
const START_TRY: &str = section(TASKS, "start");
const FINISH_TRY: &str = section(TASKS, "finish");
const ACTIVE_TRIES: &str = section(TASKS, "active");
const OF_RUN: &str = section(TASKS, "of_run");

/// The runs in a warehouse.
pub struct Store {
    warehouse: Arc<dyn Warehouse>,
    session: Option<Box<dyn Session>>,
}

/// A run to be queued.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// Its DAG and name.
    pub key: RunKey,
    /// What asked for it.
    pub kind: RunKind,
    /// The slot that it takes; none for runs by hand, which may repeat an interval.
    pub slot: Option<String>,
    /// Its data interval.
    pub interval: (Millis, Millis),
    /// What it comes from.
    pub cause: String,
}

impl Store {
    /// Runs of this warehouse.
    pub fn new(warehouse: Arc<dyn Warehouse>) -> Store {
        Store { warehouse, session: None }
    }

    /// Does all of `work` or nothing of it.
    pub(crate) fn write<T>(
        &mut self,
        work: impl FnOnce(&mut Changes<'_>) -> Result<T, ScheduleError>,
    ) -> Result<T, ScheduleError> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => self.warehouse.session(Schema::Ops)?,
        };
        let outcome = (|| {
            let mut changes = Changes(session.begin()?);
            let result = work(&mut changes)?;
            changes.0.commit()?;
            Ok(result)
        })();
        // A session that failed may be cut off from its server.
        if !matches!(outcome, Err(ScheduleError::Warehouse(_))) {
            self.session = Some(session);
        }
        outcome
    }

    /// As [`write`](Self::write), for the holder of the lease.
    pub(crate) fn write_fenced<T>(
        &mut self,
        lease: &mut Held,
        work: impl FnOnce(&mut Changes<'_>) -> Result<T, ScheduleError>,
    ) -> Result<T, ScheduleError> {
        let began = std::time::Instant::now();
        let result = self.write(|changes| {
            lease.fence(changes.0.as_mut())?;
            work(changes)
        })?;
        lease.renewed(began);
        Ok(result)
    }

    pub(crate) fn warehouse(&self) -> &dyn Warehouse {
        self.warehouse.as_ref()
    }

    fn read<T: FromRow>(&self, sql: &str, params: &[Value]) -> Result<Vec<T>, WarehouseError> {
        query_as(self.warehouse.as_ref(), sql, params)
    }

    /// A moment of each DAG.
    fn moments(&self, sql: &str) -> Result<Vec<(String, Millis)>, WarehouseError> {
        let table = query_table(self.warehouse.as_ref(), sql, &[])?;
        table.iter().map(|row| Ok((row.get("dag_id")?, row.get("moment")?))).collect()
    }

    /// Runs that are queued or running, in the order they were asked for.
    pub fn active(&self) -> Result<Vec<Run>, WarehouseError> {
        self.read(ACTIVE, &[])
    }

    /// A run.
    pub fn run(&self, key: &RunKey) -> Result<Option<Run>, WarehouseError> {
        let params = [key.dag_id.as_str().into(), key.run_id.as_str().into()];
        Ok(self.read(ONE, &params)?.pop())
    }

    /// The run of a slot.
    pub fn at_slot(&self, dag_id: &str, slot: &str) -> Result<Option<Run>, WarehouseError> {
        Ok(self.read(AT_SLOT, &[dag_id.into(), slot.into()])?.pop())
    }

    /// The newest runs of a DAG, newest data interval first.
    pub fn newest(&self, dag_id: &str, limit: i64) -> Result<Vec<Run>, WarehouseError> {
        self.read(NEWEST, &[dag_id.into(), limit.into()])
    }

    /// The runs of a DAG that succeeded or failed last, newest first.
    pub(crate) fn newest_ended(&self, dag_id: &str, limit: i64) -> Result<Vec<Run>, WarehouseError> {
        self.read(NEWEST_ENDED, &[dag_id.into(), limit.into()])
    }

    /// The runs of all DAGs that were asked for last, newest first.
    pub fn newest_of_all(&self, limit: i64) -> Result<Vec<Run>, WarehouseError> {
        self.read(NEWEST_OF_ALL, &[limit.into()])
    }

    /// Every try of a run, by number.
    pub fn tries(&self, key: &RunKey) -> Result<Vec<Try>, WarehouseError> {
        let params = [key.dag_id.as_str().into(), key.run_id.as_str().into()];
        self.read(OF_RUN, &params)
    }

    /// Every try of the active runs, by number.
    pub fn active_tries(&self) -> Result<Vec<Try>, WarehouseError> {
        self.read(ACTIVE_TRIES, &[])
    }

    /// Since when each DAG is known.
    pub(crate) fn seen_dags(&self) -> Result<Vec<(String, Millis)>, WarehouseError> {
        self.moments(SEEN_DAGS)
    }

    /// When each DAG last succeeded.
    pub fn last_successes(&self) -> Result<Vec<(String, Millis)>, WarehouseError> {
        self.moments(LAST_SUCCESS)
    }
}

/// Changes that take effect together.
pub(crate) struct Changes<'t>(Box<dyn Transaction + 't>);

impl<'t> Changes<'t> {
    /// For statements that are not of runs.
    pub fn transaction(&mut self) -> &mut (dyn Transaction + 't) {
        self.0.as_mut()
    }

    fn execute(&mut self, sql: &str, params: &[Value]) -> Result<u64, WarehouseError> {
        self.0.execute(sql, params)
    }

    pub fn see_dag(&mut self, dag_id: &str, now: Millis) -> Result<(), WarehouseError> {
        self.execute(SEE_DAG, &[dag_id.into(), now.to_string().into()]).map(drop)
    }

    pub fn see_dag_anew(&mut self, dag_id: &str, now: Millis) -> Result<(), WarehouseError> {
        self.execute(SEE_DAG_ANEW, &[dag_id.into(), now.to_string().into()]).map(drop)
    }

    /// False when its name or its slot is taken.
    pub fn queue(&mut self, run: &NewRun, now: Millis) -> Result<bool, WarehouseError> {
        let params = [
            run.key.dag_id.as_str().into(),
            run.key.run_id.as_str().into(),
            run.kind.word().into(),
            run.slot.clone().into(),
            run.interval.0.to_string().into(),
            run.interval.1.to_string().into(),
            run.cause.as_str().into(),
            now.to_string().into(),
        ];
        Ok(self.execute(INSERT, &params)? == 1)
    }

    /// False when it is not queued any more, or another run of the DAG is going.
    pub fn start_run(&mut self, key: &RunKey, now: Millis) -> Result<bool, WarehouseError> {
        Ok(self.execute(START, &run_params(key, &[now.to_string().into()]))? == 1)
    }

    pub fn finish_run(
        &mut self,
        key: &RunKey,
        state: RunState,
        now: Millis,
        message: &str,
    ) -> Result<bool, WarehouseError> {
        let params = run_params(key, &[state.word().into(), now.to_string().into(), message.into()]);
        Ok(self.execute(FINISH, &params)? == 1)
    }

    pub fn cancel_queued(&mut self, key: &RunKey, now: Millis) -> Result<bool, WarehouseError> {
        Ok(self.execute(CANCEL_QUEUED, &run_params(key, &[now.to_string().into()]))? == 1)
    }

    pub fn request_cancel(&mut self, key: &RunKey, now: Millis) -> Result<bool, WarehouseError> {
        Ok(self.execute(REQUEST_CANCEL, &run_params(key, &[now.to_string().into()]))? == 1)
    }

    /// Queues a finished run again. False when it is not finished.
    pub fn again(&mut self, key: &RunKey, now: Millis) -> Result<bool, WarehouseError> {
        Ok(self.execute(AGAIN, &run_params(key, &[now.to_string().into()]))? == 1)
    }

    /// Queues a finished run again as part of a backfill.
    pub fn again_as_backfill(
        &mut self,
        key: &RunKey,
        cause: &str,
        now: Millis,
    ) -> Result<bool, WarehouseError> {
        let params =
            run_params(key, &[now.to_string().into(), RunKind::Backfill.word().into(), cause.into()]);
        Ok(self.execute(AGAIN_AS, &params)? == 1)
    }

    /// Has a task wait for its next attempt.
    pub fn wait(&mut self, key: &TryKey, tries_left: i64, due_at: Millis) -> Result<(), WarehouseError> {
        self.execute(WAIT, &try_params(key, &[tries_left.into(), due_at.to_string().into()])).map(drop)
    }

    pub fn start_try(
        &mut self,
        key: &TryKey,
        now: Millis,
        command: &str,
        log_file: &str,
    ) -> Result<bool, WarehouseError> {
        let params = try_params(key, &[now.to_string().into(), command.into(), log_file.into()]);
        Ok(self.execute(START_TRY, &params)? == 1)
    }

    pub fn finish_try(
        &mut self,
        key: &TryKey,
        state: TaskState,
        now: Millis,
        exit_code: Option<i64>,
        message: &str,
    ) -> Result<bool, WarehouseError> {
        let params =
            try_params(key, &[state.word().into(), now.to_string().into(), exit_code.into(), message.into()]);
        Ok(self.execute(FINISH_TRY, &params)? == 1)
    }

    /// The runs of a backfill, as this transaction sees them.
    pub fn of_cause(&mut self, dag_id: &str, cause: &str) -> Result<Vec<Run>, WarehouseError> {
        let found = self.0.query(OF_CAUSE, &[dag_id.into(), cause.into()])?;
        found.read()
    }

    /// Removes up to 500 runs that ended before `limit`, and their attempts; gives their names.
    pub fn forget(&mut self, limit: Millis) -> Result<Vec<RunKey>, WarehouseError> {
        let found = self.0.query(FORGETTABLE, &[limit.to_string().into()])?;
        let forgotten: Vec<RunKey> = found.read()?;
        for key in &forgotten {
            self.execute(FORGET_TRIES_OF, &run_params(key, &[]))?;
            self.execute(FORGET, &run_params(key, &[]))?;
        }
        Ok(forgotten)
    }
}

fn run_params(key: &RunKey, more: &[Value]) -> Vec<Value> {
    let mut params = vec![key.dag_id.as_str().into(), key.run_id.as_str().into()];
    params.extend_from_slice(more);
    params
}

fn try_params(key: &TryKey, more: &[Value]) -> Vec<Value> {
    let mut params = run_params(&key.run, &[key.task_id.as_str().into(), key.try_number.into()]);
    params.extend_from_slice(more);
    params
}
