//! The DAGs that the configuration names, and how they are run here.

use std::path::{Path, PathBuf};
use std::time::Duration;

use adpipe_schedule::dag::{BUILT_IN, Dags};
use adpipe_schedule::scheduler::SchedulerConfig;
use adpipe_schedule::{ScheduleError, TaskPrograms};
use anyhow::Context;
use jiff::tz::TimeZone;

use crate::config::{Config, ConfigError, DEFAULT_DAGS_FILE};

/// How often the scheduler looks when nothing happens.
const POLL: Duration = Duration::from_secs(1);

/// From SIGTERM to SIGKILL, at most.
const GRACE: Duration = Duration::from_secs(10);

/// Reads `scheduler.dags_file`; without a file at the usual place, the DAGs that come with adpipe.
pub fn load(config: &Config) -> anyhow::Result<Dags> {
    let settings = &config.scheduler;
    let zone = TimeZone::get(&settings.timezone)
        .map_err(|error| ConfigError::Key { key: "scheduler.timezone", message: error.to_string() })?;
    let path = Path::new(&settings.dags_file);
    match Dags::load(path, &zone) {
        Err(ScheduleError::Io { source, .. })
            if source.kind() == std::io::ErrorKind::NotFound && settings.dags_file == DEFAULT_DAGS_FILE =>
        {
            Ok(Dags::parse(BUILT_IN, path, &zone)?)
        }
        Err(error @ ScheduleError::Io { .. }) => {
            anyhow::bail!(ConfigError::Key { key: "scheduler.dags_file", message: error.to_string() })
        }
        loaded => Ok(loaded?),
    }
}

/// A scheduler of this process. `follows_schedules` is false for a process that only performs what is
/// queued.
pub fn scheduler_config(
    config: &Config,
    dags: Dags,
    follows_schedules: bool,
) -> anyhow::Result<SchedulerConfig> {
    let settings = &config.scheduler;
    let own = std::env::current_exe().context("cannot find this program's own file")?.into_os_string();
    // A holder of the lease that is in doubt has a third of it to end its tasks.
    let grace = GRACE.min(settings.lease.0 / 3);
    let wrapper =
        [own.clone(), "task-process".into(), "--grace-ms".into(), grace.as_millis().to_string().into()];
    Ok(SchedulerConfig {
        dags,
        programs: TaskPrograms {
            wrapper: wrapper.to_vec(),
            adpipe: std::iter::once(own).chain(config.flags.iter().cloned()).collect(),
            log_folder: PathBuf::from(&settings.log_folder),
            grace,
        },
        max_tasks: usize::try_from(settings.max_tasks).unwrap_or(usize::MAX),
        lease: settings.lease.0,
        poll: POLL,
        keep_runs: settings.keep_runs.0,
        follows_schedules,
    })
}
