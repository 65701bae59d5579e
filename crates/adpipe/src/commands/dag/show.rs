//! Runs on screen and as JSON.

use std::process::ExitCode;

use adpipe_event::Millis;
use adpipe_schedule::dag::Dag;
use adpipe_schedule::requests;
use adpipe_schedule::state::{Run, RunState, Try, moment};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::access::DagAccess;
use crate::cli::dag::DagBackfillArgs;
use crate::output;

/// A moment in the DAG's zone, to the minute.
pub fn local(dag: &Dag, at: Timestamp) -> String {
    at.to_zoned_datetime(dag.zone.clone()).strftime("%Y-%m-%d %H:%M %Z").to_string()
}

/// A length of time for people.
pub fn duration(ms: i64) -> String {
    let seconds = ms / 1_000;
    match seconds {
        0..=9 => format!("{:.1} s", ms as f64 / 1_000.0),
        10..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
    }
}

/// Runs, as a table or as JSON with their attempts.
pub fn runs(access: &DagAccess, runs: &[Run], json: bool) -> anyhow::Result<()> {
    if json {
        let mut values = Vec::new();
        for run in runs {
            let mut value = run_as_json(run);
            let tries = access.store.tries(&run.key())?;
            value["tries"] = tries.iter().map(try_as_json).collect();
            values.push(value);
        }
        return output::json(&Value::Array(values));
    }
    let now = Millis::now();
    let rows: Vec<Vec<String>> = runs
        .iter()
        .map(|run| {
            let took = run.took_ms(now).map_or_else(String::new, duration);
            let interval = match access.dags.find(&run.dag_id) {
                Some(dag) => local(dag, moment(run.interval_start)),
                None => run.interval_start.to_string(),
            };
            vec![run.dag_id.clone(), run.run_id.clone(), state(run), interval, took, run.message.clone()]
        })
        .collect();
    if rows.is_empty() {
        return output::line("no runs yet");
    }
    let header = ["dag", "run", "state", "data from", "took", ""];
    output::line(&output::table(&header, &[false, false, false, false, true], &rows))
}

fn state(run: &Run) -> String {
    if run.cancel_requested && run.state == RunState::Running {
        "cancelling".to_owned()
    } else {
        run.state.word().to_owned()
    }
}

pub fn run_as_json(run: &Run) -> Value {
    json!({
        "dag": run.dag_id,
        "run": run.run_id,
        "kind": run.kind.word(),
        "state": run.state.word(),
        "data_interval_start": moment(run.interval_start).to_string(),
        "data_interval_end": moment(run.interval_end).to_string(),
        "attempt": run.attempt,
        "cause": run.cause,
        "cancel_requested": run.cancel_requested,
        "message": run.message,
        "queued_at": moment(run.queued_at).to_string(),
        "started_at": run.started_at.map(|at| moment(at).to_string()),
        "finished_at": run.finished_at.map(|at| moment(at).to_string()),
    })
}

fn try_as_json(one: &Try) -> Value {
    json!({
        "task": one.key.task_id,
        "try": one.key.try_number,
        "state": one.state.word(),
        "due_at": moment(one.due_at).to_string(),
        "started_at": one.started_at.map(|at| moment(at).to_string()),
        "finished_at": one.finished_at.map(|at| moment(at).to_string()),
        "exit_code": one.exit_code,
        "message": one.message,
        "command": serde_json::from_str::<Value>(&one.command).unwrap_or(Value::Null),
        "log_file": one.log_file,
    })
}

/// What a backfill would do.
pub fn dry_run(access: &DagAccess, args: &DagBackfillArgs, now: Timestamp) -> anyhow::Result<ExitCode> {
    let dag = access.dags.get(&args.dag)?;
    let (mut rows, mut values) = (Vec::new(), Vec::new());
    for interval in requests::intervals_of(&access.dags, dag, args.from, args.to, now)? {
        let there = access.store.at_slot(&dag.id, &interval.slot())?.map(|run| run.state);
        let what = match there {
            Some(RunState::Success) if !args.all => "skipped: it has succeeded",
            Some(RunState::Queued | RunState::Running) => "skipped: it is queued or running",
            Some(_) => "again",
            None => "run",
        };
        values.push(json!({
            "data_interval_start": interval.start.to_string(),
            "data_interval_end": interval.end.to_string(),
            "state": there.map(RunState::word),
            "what": what,
        }));
        rows.push(vec![local(dag, interval.start), local(dag, interval.end), what.to_owned()]);
    }
    if args.json {
        output::json(&Value::Array(values))?
    } else {
        output::line(&output::table(&["data from", "up to", ""], &[], &rows))?
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    #[test]
    fn durations_are_short() {
        let shown: Vec<String> = [1_234, 61_000, 125_000, 7_260_000].map(super::duration).into();
        assert_eq!(shown, ["1.2 s", "61 s", "2 min 5 s", "2 h 1 min"]);
    }
}
