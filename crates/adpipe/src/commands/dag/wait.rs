//! Waits for runs; performs them if no scheduler is active.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use adpipe_event::Millis;
use adpipe_metrics::Metrics;
use adpipe_runtime::Shutdown;
use adpipe_schedule::requests;
use adpipe_schedule::scheduler::Scheduler;
use adpipe_schedule::state::{RunKey, TaskState, TryKey};
use adpipe_schedule::store::Store;
use anyhow::Context;
use jiff::Timestamp;

use super::access::DagAccess;
use super::show;
use crate::output;
use crate::services::VERSION;
use crate::signals;

const LOOK: Duration = Duration::from_millis(200);

/// How the waiting ended.
pub enum Outcome {
    /// Nothing waited.
    Queued,
    /// All runs are finished.
    Finished,
    /// Ctrl-C.
    Interrupted,
}

/// Waits until every run is finished. The scheduler in here stands by while another is active;
/// otherwise it performs what is queued, and what follows from it.
pub fn until_finished(access: &mut DagAccess, keys: &[RunKey]) -> anyhow::Result<Outcome> {
    let config = crate::dags::scheduler_config(&access.config, access.dags.clone(), false)?;
    let mut scheduler = Scheduler::new(config, Arc::clone(&access.warehouse), Metrics::new(VERSION)?);
    let is_ours = scheduler.is_active();
    let (interrupted, stop) = (Shutdown::new(), Shutdown::new());
    signals::watch(&interrupted, signals::GRACE)?;
    let worker = {
        let stop = stop.clone();
        std::thread::Builder::new().name("scheduler".to_owned()).spawn(move || scheduler.run(&stop))?
    };
    let watched = watch(&mut access.store, keys, &interrupted, &|| is_ours.load(Ordering::Relaxed));
    if watched.is_err() || !is_ours.load(Ordering::Relaxed) {
        stop.trigger();
    }
    worker.join().map_err(|_| anyhow::anyhow!("the scheduler panicked; please report this"))??;
    watched
}

fn watch(
    store: &mut Store,
    keys: &[RunKey],
    interrupted: &Shutdown,
    is_ours: &dyn Fn() -> bool,
) -> anyhow::Result<Outcome> {
    let mut told = HashMap::new();
    let mut is_cancelled = false;
    loop {
        let mut is_finished = true;
        for key in keys {
            let run = store.run(key)?.with_context(|| format!("run {} is gone", key.run_id))?;
            tell(store, key, &mut told)?;
            is_finished &= run.state.is_finished();
            if interrupted.is_triggered() && is_ours() && !is_cancelled && !run.state.is_finished() {
                requests::cancel(store, key, Timestamp::now())?;
            }
        }
        match (is_finished, interrupted.is_triggered()) {
            (true, false) => return Ok(Outcome::Finished),
            (true, true) => return Ok(Outcome::Interrupted),
            // Ours are cancelled, and their end is waited for.
            (false, true) if is_ours() => is_cancelled = true,
            (false, true) => {
                output::note("the scheduler continues with it; `adpipe dag cancel` stops it");
                return Ok(Outcome::Interrupted);
            }
            (false, false) => {}
        }
        if is_cancelled { std::thread::sleep(LOOK) } else { _ = interrupted.sleep(LOOK) }
    }
}

/// Says on standard error what has changed about a run's tasks.
fn tell(store: &Store, key: &RunKey, told: &mut HashMap<TryKey, TaskState>) -> anyhow::Result<()> {
    for one in store.tries(key)? {
        if one.state == TaskState::Waiting && one.key.try_number == 1 {
            continue;
        }
        if told.insert(one.key.clone(), one.state) == Some(one.state) {
            continue;
        }
        let took = match (one.started_at, one.finished_at) {
            (Some(start), Some(end)) => format!(" after {}", show::duration((end.0 - start.0).max(0))),
            _ => String::new(),
        };
        let message = match (one.state, one.message.as_str()) {
            (TaskState::Waiting, _) if one.due_at > Millis::now() => {
                format!(", due in {}", show::duration(one.due_at.0 - Millis::now().0))
            }
            (TaskState::Waiting, _) => String::new(),
            (_, "") => String::new(),
            (_, message) => format!(": {message}"),
        };
        let again =
            if one.key.try_number > 1 { format!(" (attempt {})", one.key.try_number) } else { String::new() };
        output::note(&format!(
            "{} {}: {}{again}{took}{message}",
            key.dag_id,
            one.key.task_id,
            one.state.word()
        ));
    }
    Ok(())
}
