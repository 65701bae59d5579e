//! `adpipe dag list`.

use std::process::ExitCode;

use adpipe_schedule::dag::{Dag, Trigger};
use adpipe_schedule::requests::trigger_in_words;
use adpipe_schedule::state::Run;
use jiff::Timestamp;
use serde_json::json;

use super::{Desk, show};
use crate::output;

/// Every DAG with its next and its newest run.
pub fn run(desk: &Desk, json: bool) -> anyhow::Result<ExitCode> {
    let mut rows = Vec::new();
    let mut values = Vec::new();
    for dag in desk.dags.iter() {
        let newest = desk.store.newest(&dag.id, 1)?.pop();
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
            newest.as_ref().map_or("has not run yet".to_owned(), last_in_words),
            dag.tasks.iter().map(|task| task.id.as_str()).collect::<Vec<_>>().join(", "),
        ]);
    }
    if json {
        output::json(&json!({ "scheduler": adpipe_schedule::holder(&desk.store)?, "dags": values }))?;
        return Ok(ExitCode::SUCCESS);
    }
    output::line(&output::table(&["dag", "when", "next", "newest run", "tasks"], &[], &rows))?;
    if adpipe_schedule::holder(&desk.store)?.is_none() {
        eprintln!("no scheduler is at work; `adpipe up` or `adpipe run scheduler` starts one");
    }
    Ok(ExitCode::SUCCESS)
}

fn next_due(dag: &Dag) -> Option<Timestamp> {
    match &dag.trigger {
        Trigger::Cron(cron) => cron.next_after(Timestamp::now(), &dag.zone),
        Trigger::After(_) | Trigger::Hand => None,
    }
}

fn last_in_words(run: &Run) -> String {
    format!("{} {}", run.state.word(), run.finished_at.or(run.started_at).unwrap_or(run.queued_at))
}
