//! What every action on DAGs works with.

use std::sync::Arc;

use adpipe_schedule::dag::Dags;
use adpipe_schedule::state::{Run, RunKey};
use adpipe_schedule::store::Store;
use adpipe_warehouse::Warehouse;
use anyhow::bail;

use crate::cli::dag::DagRunName;
use crate::config::Config;

/// The DAGs, and what is known of their runs.
pub struct DagAccess {
    pub config: Config,
    pub dags: Dags,
    pub warehouse: Arc<dyn Warehouse>,
    pub store: Store,
}

/// The run that is named, or the newest.
pub fn named(access: &DagAccess, name: &DagRunName) -> anyhow::Result<Run> {
    access.dags.get(&name.dag)?;
    let found = match &name.run {
        Some(run_id) => {
            let key = RunKey { dag_id: name.dag.clone(), run_id: run_id.clone() };
            access.store.run(&key)?
        }
        None => {
            // The one that was asked for last, whatever interval it works on.
            let newest = access.store.newest(&name.dag, 1_000)?;
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
