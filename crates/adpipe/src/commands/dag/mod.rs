//! `adpipe dag`: what people ask of the scheduler.

mod access;
mod list;
mod logs;
mod show;
mod wait;

use std::process::ExitCode;
use std::sync::Arc;

use adpipe_schedule::requests::{self, Redo};
use adpipe_schedule::state::{Run, RunKey};
use adpipe_schedule::store::Store;
use anyhow::bail;
use jiff::Timestamp;

use crate::cli::dag::{DagAction, DagBackfillArgs, DagRetryArgs, DagRunArgs, DagRunName, DagRunsArgs};
use crate::config::Config;
use crate::output;
use crate::services::Services;
use access::{DagAccess, named};

pub fn run(config: Config, action: &DagAction) -> anyhow::Result<ExitCode> {
    let dags = crate::dags::load(&config)?;
    let warehouse = Services::open_warehouse(&config)?;
    let mut access = DagAccess { config, dags, store: Store::new(Arc::clone(&warehouse)), warehouse };
    match action {
        DagAction::List(args) => list::run(&access, args.json),
        DagAction::Run(args) => run_now(&mut access, args),
        DagAction::Backfill(args) => backfill(&mut access, args),
        DagAction::Runs(args) => runs(&access, args),
        DagAction::Logs(args) => logs::run(&access, args),
        DagAction::Retry(args) => retry(&mut access, args),
        DagAction::Cancel(name) => cancel(&mut access, name),
    }
}

fn run_now(access: &mut DagAccess, args: &DagRunArgs) -> anyhow::Result<ExitCode> {
    let key = requests::run_now(&mut access.store, &access.dags, &args.dag, args.date, Timestamp::now())?;
    follow(access, vec![key], args.no_wait, args.json)
}

fn backfill(access: &mut DagAccess, args: &DagBackfillArgs) -> anyhow::Result<ExitCode> {
    let now = Timestamp::now();
    if args.dry_run {
        return show::dry_run(access, args, now);
    }
    let redo = if args.all { Redo::All } else { Redo::Failed };
    let range = (args.from, args.to);
    let found = requests::backfill(&mut access.store, &access.dags, &args.dag, range, redo, now)?;
    output::note(&format!(
        "{} queued; {} already succeeded; {} already queued or running",
        output::counted(found.queued.len() as u64, "run"),
        found.succeeded,
        found.active
    ));
    follow(access, found.queued, args.no_wait, args.json)
}

fn retry(access: &mut DagAccess, args: &DagRetryArgs) -> anyhow::Result<ExitCode> {
    let key = named(access, &args.name)?.key();
    let redo = if args.all { Redo::All } else { Redo::Failed };
    requests::retry(&mut access.store, &access.dags, &key, redo, Timestamp::now())?;
    follow(access, vec![key], args.no_wait, args.json)
}

fn cancel(access: &mut DagAccess, name: &DagRunName) -> anyhow::Result<ExitCode> {
    let key = match &name.run {
        Some(_) => named(access, name)?.key(),
        // Without a name, the running one is meant, not one that waits.
        None => {
            access.dags.get(&name.dag)?;
            let mut active = access.store.active()?;
            active.retain(|run| run.dag_id == name.dag);
            active.sort_by_key(|run| run.started_at.is_none());
            match active.first() {
                Some(run) => run.key(),
                None => bail!("no run of DAG {} is queued or running", name.dag),
            }
        }
    };
    requests::cancel(&mut access.store, &key, Timestamp::now())?;
    let is_over = access.store.run(&key)?.is_some_and(|run| run.state.is_finished());
    let state = if is_over { "cancelled" } else { "is being cancelled" };
    output::line(&format!("{} {} {state}", key.dag_id, key.run_id))?;
    Ok(ExitCode::SUCCESS)
}

fn runs(access: &DagAccess, args: &DagRunsArgs) -> anyhow::Result<ExitCode> {
    let limit = i64::from(args.limit);
    let found = match &args.dag {
        Some(dag) => {
            access.dags.get(dag)?;
            access.store.newest(dag, limit)?
        }
        None => access.store.newest_of_all(limit)?,
    };
    show::runs(access, &found, args.json)?;
    Ok(ExitCode::SUCCESS)
}

/// Waits for runs that were asked for, unless that is not wanted.
fn follow(access: &mut DagAccess, keys: Vec<RunKey>, no_wait: bool, json: bool) -> anyhow::Result<ExitCode> {
    let outcome = if no_wait { wait::Outcome::Queued } else { wait::until_finished(access, &keys)? };
    let mut found = Vec::new();
    for key in &keys {
        found.extend(access.store.run(key)?);
    }
    show::runs(access, &found, json)?;
    Ok(match outcome {
        wait::Outcome::Queued => ExitCode::SUCCESS,
        wait::Outcome::Interrupted => crate::signals::exit_code(),
        wait::Outcome::Finished => {
            let succeeded = |run: &Run| run.state == adpipe_schedule::state::RunState::Success;
            if found.iter().all(succeeded) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
    })
}
