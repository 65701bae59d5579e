//! The health of the DAGs, for alerts: failures in a row, and runs that should have started.

use std::sync::Arc;

use adpipe_event::Millis;
use adpipe_warehouse::Warehouse;
use jiff::Timestamp;

use crate::ScheduleError;
use crate::dag::{Dag, Dags, Trigger};
use crate::slots;
use crate::state::{Run, RunState, millis, moment};
use crate::store::Store;

/// Finished runs that are looked at: more failures in a row are reported as this many.
const LOOK_BACK: i64 = 50;

/// How a DAG fares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DagHealth {
    /// The DAG.
    pub dag_id: String,
    /// Failed runs in a row, up to the one that ended last; cancelled ones count for nothing.
    pub failures: u64,
    /// The run that ended last, when it failed: its name and what went wrong.
    pub failed: Option<(String, String)>,
    /// Since when a run should have started; none when none should.
    pub overdue_since: Option<Millis>,
    /// When it last succeeded.
    pub last_success: Option<Millis>,
}

/// How each DAG fares that a scheduler has seen, or that was ever run. A DAG that is known from its
/// file alone may be run by another program, as Airflow; nothing is said of it.
///
/// # Errors
/// Failures of the warehouse.
pub fn health(
    warehouse: &Arc<dyn Warehouse>,
    dags: &Dags,
    now: Millis,
) -> Result<Vec<DagHealth>, ScheduleError> {
    let store = Store::new(Arc::clone(warehouse));
    let seen = store.seen_dags()?;
    let active = store.active()?;
    let successes = store.last_successes()?;
    let mut found = Vec::new();
    for dag in dags.iter() {
        let first_seen = seen.iter().find(|(id, _)| *id == dag.id).map(|(_, at)| *at);
        let ended = store.newest_ended(&dag.id, LOOK_BACK)?;
        let active: Vec<&Run> = active.iter().filter(|run| run.dag_id == dag.id).collect();
        if first_seen.is_none() && ended.is_empty() && active.is_empty() {
            continue;
        }
        let failed: Vec<&Run> = ended.iter().take_while(|run| run.state == RunState::Failed).collect();
        found.push(DagHealth {
            dag_id: dag.id.clone(),
            failures: failed.len() as u64,
            failed: failed.first().map(|run| (run.run_id.clone(), run.message.clone())),
            overdue_since: overdue_since(&store, dag, first_seen, &active, now)?,
            last_success: successes.iter().find(|(id, _)| *id == dag.id).map(|(_, at)| *at),
        });
    }
    Ok(found)
}

/// Since when a run should have started. While one is going, the others wait as they should: how
/// long it may take is its timeout's business.
fn overdue_since(
    store: &Store,
    dag: &Dag,
    first_seen: Option<Millis>,
    active: &[&Run],
    now: Millis,
) -> Result<Option<Millis>, ScheduleError> {
    if active.iter().any(|run| run.state == RunState::Running) {
        return Ok(None);
    }
    let queued = active.iter().map(|run| run.queued_at).min();
    let missed = match (&dag.trigger, first_seen) {
        (Trigger::Cron(cron), Some(first_seen)) => {
            let after = dag.start.map_or(moment(first_seen), |start| start.max(moment(first_seen)));
            let newest = slots::due(cron, &dag.zone, false, after, moment(now)).pop();
            match newest {
                Some(interval) if store.at_slot(&dag.id, &interval.slot())?.is_none() => Some(interval.end),
                _ => None,
            }
        }
        _ => None,
    };
    let since: Option<Timestamp> = missed.into_iter().chain(queued.map(moment)).min();
    Ok(since.map(millis))
}
