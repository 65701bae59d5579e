//! The data of the page. Times are ms since the Unix epoch.

use std::collections::BTreeMap;

use adpipe_event::Millis;
use adpipe_schedule::ScheduleError;
use adpipe_schedule::dag::{BUILT_IN, Dag, Dags, Trigger};
use adpipe_schedule::requests::trigger_in_words;
use adpipe_schedule::state::{Run, TaskState, Try, millis, moment};
use adpipe_schedule::store::Store;
use jiff::Timestamp;
use serde_json::{Value, json};

/// Runs of each DAG in the list.
const FEW: i64 = 12;

/// Columns of the grid.
const COLUMNS: i64 = 30;

/// Every DAG, and how it went of late.
pub(super) fn all(dags: &Dags, store: &Store) -> Result<Value, ScheduleError> {
    let mut list = Vec::new();
    for dag in dags.iter() {
        let runs = store.newest(&dag.id, FEW)?;
        let mut about = about(dag);
        about["runs"] = runs.iter().rev().map(|run| run_of(run, dag)).collect();
        list.push(about);
    }
    Ok(json!({
        "at": Millis::now().0,
        "has_scheduler": adpipe_schedule::holder(store)?.is_some(),
        "dags": list,
    }))
}

/// One DAG with its tasks, and the grid: a column a run, oldest first.
pub(super) fn one(dags: &Dags, dag: &Dag, store: &Store) -> Result<Value, ScheduleError> {
    let mut runs = store.newest(&dag.id, COLUMNS)?;
    runs.reverse();
    let mut columns = Vec::new();
    for run in &runs {
        let tries = store.tries(&run.key())?;
        let mut column = run_of(run, dag);
        column["tasks"] = newest_by_task(&tries, Millis::now());
        columns.push(column);
    }
    let mut about = about(dag);
    about["tasks"] = dag
        .tasks
        .iter()
        .map(|task| json!({ "id": task.id, "after": task.after, "command": task.command, "retries": task.retries }))
        .collect();
    about["followers"] = dags.followers(&dag.id).map(|follower| follower.id.as_str()).collect();
    about["has_intervals"] = dags.schedule_of(dag).is_some().into();
    about["columns"] = columns.into();
    about["at"] = Millis::now().0.into();
    Ok(about)
}

/// A run with every attempt of its tasks.
pub(super) fn run_with_tries(run: &Run, tries: &[Try]) -> Value {
    let now = Millis::now();
    let mut value = bare_run(run);
    value["tries"] = tries
        .iter()
        .map(|one| {
            json!({
                "task": one.key.task_id,
                "try": one.key.try_number,
                "state": shown_state(one, now),
                "due_at": one.due_at.0,
                "started_at": one.started_at.map(|at| at.0),
                "finished_at": one.finished_at.map(|at| at.0),
                "exit_code": one.exit_code,
                "message": one.message,
                "command": serde_json::from_str::<Value>(&one.command).unwrap_or(Value::Null),
                "has_log": !one.log_file.is_empty(),
            })
        })
        .collect();
    value["at"] = now.0.into();
    value
}

fn about(dag: &Dag) -> Value {
    let next = match &dag.trigger {
        Trigger::Cron(cron) => cron.next_after(Timestamp::now(), &dag.zone).map(|at| millis(at).0),
        Trigger::After(_) | Trigger::Hand => None,
    };
    json!({
        "id": dag.id,
        "description": dag.description,
        // The pages have its words in their languages.
        "is_built_in": BUILT_IN.contains(&format!("description = \"{}\"", dag.description)),
        "trigger": trigger_in_words(dag),
        "after": match &dag.trigger { Trigger::After(other) => Some(other), _ => None },
        "zone": dag.zone.iana_name(),
        "catchup": dag.catchup,
        "next": next,
    })
}

fn run_of(run: &Run, dag: &Dag) -> Value {
    let mut value = bare_run(run);
    let local = dag.zone.to_datetime(moment(run.interval_start));
    let is_midnight = local.hour() == 0 && local.minute() == 0;
    let form = if is_midnight { "%Y-%m-%d" } else { "%m-%d %H:%M" };
    value["label"] = local.strftime(form).to_string().into();
    value
}

fn bare_run(run: &Run) -> Value {
    json!({
        "dag": run.dag_id,
        "run": run.run_id,
        "kind": run.kind.word(),
        "state": run.state.word(),
        "cancelling": run.cancel_requested && !run.state.is_finished(),
        "start": run.interval_start.0,
        "end": run.interval_end.0,
        "attempt": run.attempt,
        "cause": run.cause,
        "message": run.message,
        "queued_at": run.queued_at.0,
        "started_at": run.started_at.map(|at| at.0),
        "finished_at": run.finished_at.map(|at| at.0),
    })
}

/// The state of an attempt. One that is due only later waits for a retry; one that is due waits for its
/// upstream or for a free place.
fn shown_state(one: &Try, now: Millis) -> &'static str {
    match (one.state, one.key.try_number) {
        (TaskState::Waiting, number) if number > 1 && one.due_at > now => "retrying",
        (state, _) => state.word(),
    }
}

/// The state of each task: that of its newest attempt.
fn newest_by_task(tries: &[Try], now: Millis) -> Value {
    let newest: BTreeMap<&str, &Try> = tries.iter().map(|one| (one.key.task_id.as_str(), one)).collect();
    let states = newest.into_iter().map(|(task, one)| {
        (
            task.to_owned(),
            json!({ "state": shown_state(one, now), "try": one.key.try_number, "message": one.message }),
        )
    });
    Value::Object(states.collect())
}

#[cfg(test)]
mod tests {
    use adpipe_schedule::state::{RunKey, TryKey};

    use super::*;

    #[test]
    fn a_try_that_is_due_does_not_wait_for_a_retry() {
        let now = Millis(1_000_000);
        let waiting = |try_number, due_at| Try {
            key: TryKey {
                run: RunKey { dag_id: "d".to_owned(), run_id: "r".to_owned() },
                task_id: "t".to_owned(),
                try_number,
            },
            state: TaskState::Waiting,
            tries_left: 1,
            due_at: Millis(due_at),
            started_at: None,
            finished_at: None,
            exit_code: None,
            message: String::new(),
            command: String::new(),
            log_file: String::new(),
        };
        assert_eq!(shown_state(&waiting(2, 1_000_001), now), "retrying");
        assert_eq!(shown_state(&waiting(2, 1_000_000), now), "waiting", "its upstream is not done");
        assert_eq!(shown_state(&waiting(1, 1_000_001), now), "waiting");
    }
}
