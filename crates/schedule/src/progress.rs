//! How runs and attempts proceed: what follows from the end of a task, and of a run.

use std::collections::BTreeMap;

use adpipe_event::Millis;

use crate::ScheduleError;
use crate::dag::{Dag, Dags};
use crate::execution::{EndedBy, Outcome};
use crate::state::{Run, RunKey, RunKind, RunState, TaskState, Try, TryKey};
use crate::store::{Changes, NewRun};

/// The newest attempt of each task, by task.
pub(crate) type Newest<'t> = BTreeMap<&'t str, &'t Try>;

/// The newest attempt of each task of a run; `tries` are sorted by number.
pub(crate) fn newest<'t>(tries: &'t [Try], run: &RunKey) -> Newest<'t> {
    let of_run = tries.iter().filter(|one| one.key.run == *run);
    of_run.map(|one| (one.key.task_id.as_str(), one)).collect()
}

/// Has every task of a run that begins wait for an attempt, save those that have succeeded already.
pub(crate) fn begin(
    changes: &mut Changes<'_>,
    dag: &Dag,
    run: &RunKey,
    newest: &Newest<'_>,
    now: Millis,
) -> Result<(), ScheduleError> {
    for task in &dag.tasks {
        let last = newest.get(task.id.as_str());
        if last.is_some_and(|last| matches!(last.state, TaskState::Success | TaskState::Waiting)) {
            continue;
        }
        let try_number = last.map_or(1, |last| last.key.try_number + 1);
        let key = TryKey { run: run.clone(), task_id: task.id.clone(), try_number };
        changes.wait(&key, task.retries.into(), now)?;
    }
    Ok(())
}

/// Notes how an attempt ended and has the next one wait, if there is to be one.
pub(crate) fn end_try(
    changes: &mut Changes<'_>,
    dag: Option<&Dag>,
    ended: &Try,
    outcome: &Outcome,
    by: Option<EndedBy>,
    now: Millis,
) -> Result<(), ScheduleError> {
    let key = &ended.key;
    let task = dag.and_then(|dag| dag.task(&key.task_id));
    let exit_code = match outcome {
        Outcome::Exited(code) => Some(*code),
        _ => None,
    };
    let (state, message) = verdict(outcome, by, task.map(|task| task.timeout));
    if !changes.finish_try(key, state, now, exit_code, &message)? || state != TaskState::Failed {
        return Ok(());
    }
    let Some(task) = task else { return Ok(()) };
    let next = TryKey { try_number: key.try_number + 1, ..key.clone() };
    match by {
        Some(EndedBy::RunTimeout) => {}
        // Not the task's fault: it costs no retry.
        Some(EndedBy::Shutdown) => changes.wait(&next, ended.tries_left, now)?,
        _ if ended.tries_left > 0 => {
            let failed = i64::from(task.retries) - ended.tries_left + 1;
            let delay = task.delay_after(u32::try_from(failed).unwrap_or(1));
            let due_at = Millis(now.0.saturating_add(i64::try_from(delay.as_millis()).unwrap_or(i64::MAX)));
            changes.wait(&next, ended.tries_left - 1, due_at)?;
        }
        _ => {}
    }
    Ok(())
}

fn verdict(
    outcome: &Outcome,
    by: Option<EndedBy>,
    timeout: Option<std::time::Duration>,
) -> (TaskState, String) {
    let ended = match outcome {
        // Whatever was asked of it: it has done its work.
        Outcome::Exited(0) => return (TaskState::Success, String::new()),
        Outcome::Exited(code) => format!("exit code {code}"),
        Outcome::Signalled(signal) => format!("killed by signal {signal}"),
        Outcome::Lost(reason) => reason.clone(),
    };
    match by {
        Some(EndedBy::Cancel) => (TaskState::Cancelled, "cancelled".to_owned()),
        Some(EndedBy::TaskTimeout) => {
            let limit =
                timeout.map_or_else(String::new, |limit| humantime::format_duration(limit).to_string());
            (TaskState::Failed, format!("took longer than {limit}"))
        }
        Some(EndedBy::RunTimeout) => (TaskState::Failed, "the run took too long".to_owned()),
        Some(EndedBy::Shutdown) => (TaskState::Failed, "interrupted: the scheduler was stopped".to_owned()),
        None => (TaskState::Failed, ended),
    }
}

/// The state of a run whose tasks have all ended; none while one has not.
pub(crate) fn conclusion(newest: &Newest<'_>) -> Option<(RunState, String)> {
    if newest.values().any(|last| !last.state.is_finished()) {
        return None;
    }
    let first = |state: TaskState| newest.values().find(|last| last.state == state);
    if let Some(failed) = first(TaskState::Failed) {
        return Some((RunState::Failed, format!("task {} failed: {}", failed.key.task_id, failed.message)));
    }
    match first(TaskState::Cancelled).or_else(|| first(TaskState::UpstreamFailed)) {
        Some(cancelled) => Some((RunState::Cancelled, cancelled.message.clone())),
        None => Some((RunState::Success, String::new())),
    }
}

/// Ends a run and queues what follows from it, in the transaction that ends it: a success triggers
/// each follower exactly once.
pub(crate) fn end_run(
    changes: &mut Changes<'_>,
    dags: &Dags,
    run: &Run,
    state: RunState,
    message: &str,
    now: Millis,
) -> Result<bool, ScheduleError> {
    if !changes.finish_run(&run.key(), state, now, message)? {
        return Ok(false);
    }
    let Some(interval) = interval_for_followers(changes, run, state)? else { return Ok(true) };
    for follower in dags.followers(&run.dag_id) {
        let attempt = if run.attempt > 1 { format!("__{}", run.attempt) } else { String::new() };
        let run_id = format!("triggered__{}{attempt}", run.run_id);
        let new = NewRun {
            key: RunKey { dag_id: follower.id.clone(), run_id },
            kind: RunKind::Triggered,
            slot: None,
            interval,
            cause: format!("{} {}", run.dag_id, run.run_id),
        };
        changes.queue(&new, now)?;
    }
    Ok(true)
}

/// The data interval that a run's followers are to work on; none when they are not to run. Those of
/// a backfill run once, at its end, over all that it did: marts need not be rebuilt for each day.
fn interval_for_followers(
    changes: &mut Changes<'_>,
    run: &Run,
    state: RunState,
) -> Result<Option<(Millis, Millis)>, ScheduleError> {
    if run.kind != RunKind::Backfill {
        let is_success = state == RunState::Success;
        return Ok(is_success.then_some((run.interval_start, run.interval_end)));
    }
    let all = changes.of_cause(&run.dag_id, &run.cause)?;
    if all.iter().any(|other| !other.state.is_finished()) {
        return Ok(None);
    }
    let done = || all.iter().filter(|other| other.state == RunState::Success);
    let start = done().map(|other| other.interval_start).min();
    let end = done().map(|other| other.interval_end).max();
    Ok(start.zip(end))
}
