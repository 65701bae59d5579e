//! Which slots become runs.

use jiff::Timestamp;

use super::Scheduler;
use crate::ScheduleError;
use crate::dag::{Dag, Trigger};
use crate::slots;
use crate::state::{RunKey, RunKind, millis, moment};
use crate::store::NewRun;

/// Runs of a DAG that catching up may have waiting.
const MAX_WAITING: usize = 100;

impl Scheduler {
    /// Queues the slots that are due. An interval that is there already stays as it is, whatever
    /// the clock did.
    pub(super) fn queue_slots(&mut self, now: Timestamp) -> Result<bool, ScheduleError> {
        let mut changed = false;
        let dags: Vec<Dag> = self.config.dags.iter().cloned().collect();
        for dag in &dags {
            if let Trigger::Cron(cron) = &dag.trigger {
                let since = self.first_seen(dag, now)?;
                let after = match (dag.catchup, dag.start) {
                    // Not even what was due when the DAG was new is left out.
                    (true, Some(start)) => start,
                    (_, start) => start.map_or(since, |start| start.max(since)),
                };
                let done = self.handled.get(&dag.id).copied();
                let after = if dag.catchup { done.map_or(after, |done| done.max(after)) } else { after };
                let due = slots::due(cron, &dag.zone, dag.catchup, after, now);
                let due = due.into_iter().filter(|interval| done != Some(interval.end));
                changed |= self.queue_due(dag, due.collect(), now)?;
            }
        }
        Ok(changed)
    }

    fn queue_due(
        &mut self,
        dag: &Dag,
        due: Vec<slots::Interval>,
        now: Timestamp,
    ) -> Result<bool, ScheduleError> {
        if due.is_empty() {
            return Ok(false);
        }
        let active = self.store.active()?;
        let waiting =
            active.iter().filter(|run| run.dag_id == dag.id && run.kind == RunKind::Scheduled).count();
        // Without catch-up a slot that comes while one is going waits, and only the newest of them.
        let room = if dag.catchup { MAX_WAITING } else { 1 };
        let mut changed = false;
        for interval in due.into_iter().take(room.saturating_sub(waiting)) {
            let slot = interval.slot();
            let run = NewRun {
                key: RunKey { dag_id: dag.id.clone(), run_id: format!("scheduled__{slot}") },
                kind: RunKind::Scheduled,
                slot: Some(slot),
                interval: (millis(interval.start), millis(interval.end)),
                cause: String::new(),
            };
            let (store, lease) = self.held()?;
            changed |= store.write_fenced(lease, |changes| Ok(changes.queue(&run, millis(now))?))?;
            self.handled.insert(dag.id.clone(), interval.end);
        }
        Ok(changed)
    }

    /// Since when a DAG is known, by anybody.
    fn first_seen(&mut self, dag: &Dag, now: Timestamp) -> Result<Timestamp, ScheduleError> {
        if let Some(since) = self.seen.get(&dag.id).filter(|since| **since <= now) {
            return Ok(*since);
        }
        let stored = self.store.seen_dags()?;
        let found = stored.iter().find(|(id, _)| *id == dag.id).map(|(_, since)| moment(*since));
        let (store, lease) = self.held()?;
        let since = match found {
            Some(since) if since <= now => since,
            // The clock was wrong then.
            Some(_) => {
                store.write_fenced(lease, |changes| Ok(changes.see_dag_anew(&dag.id, millis(now))?))?;
                now
            }
            None => {
                store.write_fenced(lease, |changes| Ok(changes.see_dag(&dag.id, millis(now))?))?;
                now
            }
        };
        self.seen.insert(dag.id.clone(), since);
        Ok(since)
    }
}
