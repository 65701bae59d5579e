//! `adpipe dag list`.

use std::process::ExitCode;

use adpipe_schedule::dag::{Dag, Trigger};
use adpipe_schedule::requests::trigger_in_words;
use adpipe_schedule::state::{Run, moment};
use jiff::Timestamp;
use serde_json::json;

use super::access::DagAccess;
use super::show;
use crate::output;

/// Every DAG with its next and its newest run.
pub fn run(access: &DagAccess, json: bool) -> anyhow::Result<ExitCode> {
    let mut rows = Vec::new();
    let mut values = Vec::new();
    for dag in access.dags.iter() {
        let newest = access.store.newest(&dag.id, 1)?.pop();
        let next = next_due(dag);
        values.push(json!({
            "dag": dag.id,
            "description": dag.description,
            "trigger": trigger_in_words(dag),
            "timezone": dag.zone.iana_name(),
            "catchup": dag.catchup,
            "next": next.map(|at| at.to_string()),
            "tasks": dag.tasks.iter().map(|task| &task.id).collect::<Vec<_>>(),
            "last": newest.as_ref().map(show::run_as_json),
        }));
        rows.push(vec![
            dag.id.clone(),
            trigger_in_words(dag),
            next.map_or_else(String::new, |at| show::local(dag, at)),
            newest.as_ref().map_or("has not run yet".to_owned(), |run| last_in_words(dag, run)),
            dag.tasks.iter().map(|task| task.id.as_str()).collect::<Vec<_>>().join(", "),
        ]);
    }
    if json {
        output::json(&json!({ "scheduler": adpipe_schedule::holder(&access.store)?, "dags": values }))?;
        return Ok(ExitCode::SUCCESS);
    }
    output::line(&output::table(&["dag", "when", "next", "newest run", "tasks"], &[], &rows))?;
    if adpipe_schedule::holder(&access.store)?.is_none() {
        output::note("no scheduler is running; `adpipe up` or `adpipe run scheduler` starts one");
    }
    Ok(ExitCode::SUCCESS)
}

fn next_due(dag: &Dag) -> Option<Timestamp> {
    match &dag.trigger {
        Trigger::Cron(cron) => cron.next_after(Timestamp::now(), &dag.zone),
        Trigger::After(_) | Trigger::Hand => None,
    }
}

/// In the DAG's zone, as when it is due next.
fn last_in_words(dag: &Dag, run: &Run) -> String {
    let at = run.finished_at.or(run.started_at).unwrap_or(run.queued_at);
    format!("{} {}", run.state.word(), show::local(dag, moment(at)))
}
