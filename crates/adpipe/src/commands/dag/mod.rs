//! `adpipe dag`: what people ask of the scheduler.

mod list;
mod logs;
mod show;
mod wait;

use std::process::ExitCode;
use std::sync::Arc;

use adpipe_schedule::dag::Dags;
use adpipe_schedule::requests::{self, Redo};
use adpipe_schedule::state::{Run, RunKey};
use adpipe_schedule::store::Store;
use adpipe_warehouse::Warehouse;
use anyhow::bail;
use jiff::Timestamp;

use crate::cli::dag::{DagAction, DagBackfillArgs, DagRetryArgs, DagRunArgs, DagRunName, DagRunsArgs};
use crate::config::Config;
use crate::output;
use crate::services::Services;

/// What every action works with.
struct Desk {
    config: Config,
    dags: Dags,
    warehouse: Arc<dyn Warehouse>,
    store: Store,
}

/// Does one action.
pub fn run(config: Config, action: &DagAction) -> anyhow::Result<ExitCode> {
    let dags = crate::dags::load(&config)?;
    let warehouse = Services::open_warehouse(&config)?;
    let mut desk = Desk { config, dags, store: Store::new(Arc::clone(&warehouse)), warehouse };
    match action {
        DagAction::List(args) => list::run(&desk, args.json),
        DagAction::Run(args) => run_now(&mut desk, args),
        DagAction::Backfill(args) => backfill(&mut desk, args),
        DagAction::Runs(args) => runs(&desk, args),
        DagAction::Logs(args) => logs::run(&desk, args),
        DagAction::Retry(args) => retry(&mut desk, args),
        DagAction::Cancel(name) => cancel(&mut desk, name),
    }
}

fn run_now(desk: &mut Desk, args: &DagRunArgs) -> anyhow::Result<ExitCode> {
    let key = requests::run_now(&mut desk.store, &desk.dags, &args.dag, args.date, Timestamp::now())?;
    follow(desk, vec![key], args.no_wait, args.json)
}

fn backfill(desk: &mut Desk, args: &DagBackfillArgs) -> anyhow::Result<ExitCode> {
    let now = Timestamp::now();
    if args.dry_run {
        return show::dry_run(desk, args, now);
    }
    let redo = if args.all { Redo::All } else { Redo::Failed };
    let range = (args.from, args.to);
    let found = requests::backfill(&mut desk.store, &desk.dags, &args.dag, range, redo, now)?;
    output::note(&format!(
        "{} queued; {} already succeeded; {} already queued or running",
        output::counted(found.queued.len() as u64, "run"),
        found.succeeded,
        found.active
    ));
    follow(desk, found.queued, args.no_wait, args.json)
}

fn retry(desk: &mut Desk, args: &DagRetryArgs) -> anyhow::Result<ExitCode> {
    let key = named(desk, &args.name)?.key();
    let redo = if args.all { Redo::All } else { Redo::Failed };
    requests::retry(&mut desk.store, &desk.dags, &key, redo, Timestamp::now())?;
    follow(desk, vec![key], args.no_wait, args.json)
}

fn cancel(desk: &mut Desk, name: &DagRunName) -> anyhow::Result<ExitCode> {
    let key = match &name.run {
        Some(_) => named(desk, name)?.key(),
        // Without a name, the running one is meant, not one that waits.
        None => {
            desk.dags.get(&name.dag)?;
            let mut active = desk.store.active()?;
            active.retain(|run| run.dag_id == name.dag);
            active.sort_by_key(|run| run.started_at.is_none());
            match active.first() {
                Some(run) => run.key(),
                None => bail!("no run of DAG {} is queued or running", name.dag),
            }
        }
    };
    requests::cancel(&mut desk.store, &key, Timestamp::now())?;
    let is_over = desk.store.run(&key)?.is_some_and(|run| run.state.is_finished());
    let state = if is_over { "cancelled" } else { "is being cancelled" };
    output::line(&format!("{} {} {state}", key.dag_id, key.run_id))?;
    Ok(ExitCode::SUCCESS)
}

fn runs(desk: &Desk, args: &DagRunsArgs) -> anyhow::Result<ExitCode> {
    let limit = i64::from(args.limit);
    let found = match &args.dag {
        Some(dag) => {
            desk.dags.get(dag)?;
            desk.store.newest(dag, limit)?
        }
        None => desk.store.newest_of_all(limit)?,
    };
    show::runs(desk, &found, args.json)?;
    Ok(ExitCode::SUCCESS)
}

/// Waits for runs that were asked for, unless that is not wanted.
fn follow(desk: &mut Desk, keys: Vec<RunKey>, no_wait: bool, json: bool) -> anyhow::Result<ExitCode> {
    let outcome = if no_wait { wait::Outcome::Queued } else { wait::until_finished(desk, &keys)? };
    let mut found = Vec::new();
    for key in &keys {
        found.extend(desk.store.run(key)?);
    }
    show::runs(desk, &found, json)?;
    Ok(match outcome {
        wait::Outcome::Queued => ExitCode::SUCCESS,
        wait::Outcome::Interrupted => crate::signals::exit_code(),
        wait::Outcome::Finished => {
            let succeeded = |run: &Run| run.state == adpipe_schedule::state::RunState::Success;
            if found.iter().all(succeeded) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
    })
}

/// The run that is named, or the newest.
fn named(desk: &Desk, name: &DagRunName) -> anyhow::Result<Run> {
    desk.dags.get(&name.dag)?;
    let found = match &name.run {
        Some(run_id) => {
            let key = RunKey { dag_id: name.dag.clone(), run_id: run_id.clone() };
            desk.store.run(&key)?
        }
        None => {
            // The one that was asked for last, whatever interval it works on.
            let newest = desk.store.newest(&name.dag, 1_000)?;
            newest.into_iter().max_by_key(|run| (run.queued_at.0, run.interval_end.0))
        }
    };
    match (found, &name.run) {
        (Some(run), _) => Ok(run),
        (None, Some(run_id)) => {
            bail!("DAG {} has no run {run_id}; `adpipe dag runs {}` lists them", name.dag, name.dag)
        }
        (None, None) => bail!("DAG {} has not run yet; `adpipe dag run {}` runs it", name.dag, name.dag),
    }
}
