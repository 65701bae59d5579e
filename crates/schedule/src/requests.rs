//! What people ask for: run now, backfill, retry, cancel. Any process may; the scheduler sees to it.

use adpipe_event::Millis;
use jiff::Timestamp;
use jiff::civil::Date;

use crate::ScheduleError;
use crate::dag::{Dag, Dags, Trigger};
use crate::definition::first_moment;
use crate::progress::newest;
use crate::slots::{self, Interval};
use crate::state::{RunKey, RunKind, TaskState, TryKey, millis, moment};
use crate::store::{NewRun, Store};

/// Data intervals that one backfill may have.
pub const MAX_BACKFILL: usize = 10_000;

/// What a backfill found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Backfilled {
    /// Runs that are queued for it now, oldest first.
    pub queued: Vec<RunKey>,
    /// Intervals left out because they have succeeded.
    pub succeeded: usize,
    /// Intervals left out because their run is queued or going.
    pub active: usize,
}

/// Which runs of a backfill's range are run though there has been one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redo {
    /// Those that did not succeed.
    Failed,
    /// All of them.
    All,
}

/// Queues a run by hand: of the interval that begins on `date`, or of the newest whole one.
///
/// # Errors
/// [`ScheduleError::Asked`] when the interval has not ended yet; of the warehouse.
pub fn run_now(
    store: &mut Store,
    dags: &Dags,
    dag_id: &str,
    date: Option<Date>,
    now: Timestamp,
) -> Result<RunKey, ScheduleError> {
    let dag = dags.get(dag_id)?;
    let interval = interval_by_hand(dags, dag, date, now)?;
    let asked_at = moment(millis(now));
    let run_id = format!("manual__{asked_at}");
    let run = NewRun {
        key: RunKey { dag_id: dag.id.clone(), run_id },
        kind: RunKind::Manual,
        slot: None,
        interval: (millis(interval.start), millis(interval.end)),
        cause: String::new(),
    };
    if store.write(|changes| Ok(changes.queue(&run, millis(now))?))? {
        Ok(run.key)
    } else {
        Err(ScheduleError::Refused("it was already requested a moment ago".to_owned()))
    }
}

fn interval_by_hand(
    dags: &Dags,
    dag: &Dag,
    date: Option<Date>,
    now: Timestamp,
) -> Result<Interval, ScheduleError> {
    let (day_start, day_end) = match date {
        Some(date) => day(dag, date)?,
        None => (now, now),
    };
    let found = match (dags.schedule_of(dag), date) {
        (Some((cron, zone)), None) => slots::newest(cron, zone, now),
        (Some((cron, zone)), Some(_)) => {
            slots::beginning_within(cron, zone, day_start, day_end, 0).into_iter().next()
        }
        (None, _) => Some(Interval { start: day_start, end: day_end }),
    };
    let refuse = |message: String| Err(ScheduleError::Asked(message));
    let shown = date.map_or_else(String::new, |date| date.to_string());
    match found {
        None => refuse(format!("DAG {} has no data interval that begins on {shown}", dag.id)),
        Some(interval) if interval.start > now => refuse(format!("{shown} has not begun yet")),
        Some(interval) => Ok(interval),
    }
}

/// A local day of a DAG.
fn day(dag: &Dag, date: Date) -> Result<(Timestamp, Timestamp), ScheduleError> {
    let start = first_moment(date, &dag.zone);
    let end = date.tomorrow().ok().and_then(|next| first_moment(next, &dag.zone));
    start.zip(end).ok_or_else(|| ScheduleError::Asked(format!("{date} is not a day to work on")))
}

/// Queues a run for every interval that begins on `from` to `to`, both included, and has ended.
///
/// # Errors
/// [`ScheduleError::Asked`] when the range has none, or too many; of the warehouse.
pub fn backfill(
    store: &mut Store,
    dags: &Dags,
    dag_id: &str,
    (from, to): (Date, Date),
    redo: Redo,
    now: Timestamp,
) -> Result<Backfilled, ScheduleError> {
    let dag = dags.get(dag_id)?;
    let intervals = intervals_of(dags, dag, from, to, now)?;
    let cause = format!("backfill {from}..{to} of {now}");
    let mut result = Backfilled::default();
    for interval in intervals {
        queue_slot(store, dag, interval, redo, &cause, now, &mut result)?;
    }
    Ok(result)
}

/// What a backfill would work on.
///
/// # Errors
/// The same as [`backfill`].
pub fn intervals_of(
    dags: &Dags,
    dag: &Dag,
    from: Date,
    to: Date,
    now: Timestamp,
) -> Result<Vec<Interval>, ScheduleError> {
    let refuse = |message: String| Err(ScheduleError::Asked(message));
    if to < from {
        return refuse(format!("{to} is before {from}"));
    }
    let Some((cron, zone)) = dags.schedule_of(dag) else {
        return refuse(format!("DAG {} has no schedule and so no data intervals", dag.id));
    };
    let (first, last) = (day(dag, from)?, day(dag, to)?);
    let mut found = slots::beginning_within(cron, zone, first.0, last.1, MAX_BACKFILL);
    if found.len() > MAX_BACKFILL {
        return refuse(format!(
            "{from} to {to} has more than {MAX_BACKFILL} data intervals; take a part of it"
        ));
    }
    found.retain(|interval| interval.end <= now);
    if found.is_empty() {
        refuse(format!("no data interval of DAG {} begins within {from} to {to} and has ended", dag.id))
    } else {
        Ok(found)
    }
}

fn queue_slot(
    store: &mut Store,
    dag: &Dag,
    interval: Interval,
    redo: Redo,
    cause: &str,
    now: Timestamp,
    result: &mut Backfilled,
) -> Result<(), ScheduleError> {
    let slot = interval.slot();
    let run = NewRun {
        key: RunKey { dag_id: dag.id.clone(), run_id: format!("backfill__{slot}") },
        kind: RunKind::Backfill,
        slot: Some(slot.clone()),
        interval: (millis(interval.start), millis(interval.end)),
        cause: cause.to_owned(),
    };
    let Some(there) = store.at_slot(&dag.id, &slot)? else {
        if store.write(|changes| Ok(changes.queue(&run, millis(now))?))? {
            result.queued.push(run.key);
        } else {
            // Another process was faster.
            result.active += 1;
        }
        return Ok(());
    };
    let is_success = there.state == crate::state::RunState::Success;
    if is_success && redo == Redo::Failed {
        result.succeeded += 1;
        return Ok(());
    }
    let key = there.key();
    if queue_again(store, dag, &key, redo, Some(cause), millis(now))? {
        result.queued.push(key)
    } else {
        result.active += 1
    }
    Ok(())
}

/// Queues a finished run again: the tasks that did not succeed, or all of them.
///
/// # Errors
/// [`ScheduleError::Refused`] when there is no such run, or it is not finished; of the warehouse.
pub fn retry(
    store: &mut Store,
    dags: &Dags,
    key: &RunKey,
    redo: Redo,
    now: Timestamp,
) -> Result<(), ScheduleError> {
    let dag = dags.get(&key.dag_id)?;
    let run = store.run(key)?.ok_or_else(|| no_such_run(key))?;
    if run.state == crate::state::RunState::Success && redo == Redo::Failed {
        return Err(ScheduleError::Refused(format!(
            "run {} has succeeded; add --all to run it again",
            key.run_id
        )));
    }
    if queue_again(store, dag, key, redo, None, millis(now))? {
        Ok(())
    } else {
        Err(ScheduleError::Refused(format!("run {} is {}", key.run_id, run.state.word())))
    }
}

fn queue_again(
    store: &mut Store,
    dag: &Dag,
    key: &RunKey,
    redo: Redo,
    cause: Option<&str>,
    now: Millis,
) -> Result<bool, ScheduleError> {
    let tries = store.tries(key)?;
    let newest = newest(&tries, key);
    store.write(|changes| {
        let is_queued = match cause {
            Some(cause) => changes.again_as_backfill(key, cause, now)?,
            None => changes.again(key, now)?,
        };
        if !is_queued || redo == Redo::Failed {
            // The scheduler has the failed ones wait when the run begins.
            return Ok(is_queued);
        }
        for task in &dag.tasks {
            let last = newest.get(task.id.as_str());
            if last.is_some_and(|last| last.state == TaskState::Waiting) {
                continue;
            }
            let try_number = last.map_or(1, |last| last.key.try_number + 1);
            let next = TryKey { run: key.clone(), task_id: task.id.clone(), try_number };
            changes.wait(&next, task.retries.into(), now)?;
        }
        Ok(true)
    })
}

/// Cancels a run: at once when it has not begun, else the scheduler ends its tasks.
///
/// # Errors
/// [`ScheduleError::Refused`] when there is no such run, or it is finished; of the warehouse.
pub fn cancel(store: &mut Store, key: &RunKey, now: Timestamp) -> Result<(), ScheduleError> {
    let now = millis(now);
    let is_done =
        store.write(|changes| Ok(changes.cancel_queued(key, now)? || changes.request_cancel(key, now)?))?;
    if is_done {
        return Ok(());
    }
    let run = store.run(key)?.ok_or_else(|| no_such_run(key))?;
    if run.cancel_requested && !run.state.is_finished() {
        Ok(())
    } else {
        Err(ScheduleError::Refused(format!("run {} is already {}", key.run_id, run.state.word())))
    }
}

fn no_such_run(key: &RunKey) -> ScheduleError {
    ScheduleError::NotThere(format!(
        "DAG {} has no run {}; `adpipe dag runs {}` lists them",
        key.dag_id, key.run_id, key.dag_id
    ))
}

/// How a DAG is started, in words.
pub fn trigger_in_words(dag: &Dag) -> String {
    match &dag.trigger {
        Trigger::Cron(cron) => cron.text().to_owned(),
        Trigger::After(other) => format!("after {other}"),
        Trigger::Hand => "by hand".to_owned(),
    }
}
