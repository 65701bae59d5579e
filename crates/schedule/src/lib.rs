//! The scheduler: DAGs as data, run on schedule, once.
//!
//! [`dag`] reads `config/dags.toml`, [`cron`] and [`slots`] say which data intervals are due, and
//! [`scheduler`] runs them: `tick` in `scheduler/mod.rs` shows all of it on one screen; open it first.
//! State is in `ops.dag_runs` and `ops.task_runs` ([`store`], [`state`]), so a new scheduler continues
//! where a killed one stopped. [`lease`] ensures that one is active at a time, and every change of
//! state checks the lease in the same transaction. Tasks are separate processes (`execution.rs`), each
//! below a [`task_process`] that ends it when its scheduler dies. [`requests`] has what people can ask
//! for: run, backfill, retry, cancel; [`health`] is what alerts watch.

pub mod cron;
pub mod dag;
mod definition;
mod error;
mod execution;
pub mod health;
pub mod lease;
mod placeholders;
mod process;
mod progress;
pub mod requests;
pub mod scheduler;
pub mod slots;
pub mod state;
pub mod store;
pub mod task_process;

pub use error::ScheduleError;
pub use execution::TaskPrograms;

/// The process of the active scheduler, as it seems; for people.
///
/// # Errors
/// When the warehouse cannot be read.
pub fn holder(store: &store::Store) -> Result<Option<String>, ScheduleError> {
    lease::holder(store.warehouse(), lease::SCHEDULER)
}
