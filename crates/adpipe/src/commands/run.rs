//! `adpipe run`: one role in this process.

use crate::cli::run::Role;
use crate::commands::up::Up;
use crate::config::Config;
use crate::output;
use crate::services::VERSION;

/// Runs until Ctrl-C or SIGTERM.
pub fn run(config: Config, role: Role) -> anyhow::Result<()> {
    let played = match role {
        Role::Stream => adpipe_metrics::Role::Stream,
        Role::Dlq => adpipe_metrics::Role::Dlq,
        Role::Scheduler => adpipe_metrics::Role::Scheduler,
        Role::Monitor => adpipe_metrics::Role::Monitor,
        Role::Console => adpipe_metrics::Role::Console,
    };
    let up = Up::start(config, &[played])?;
    match role {
        Role::Stream => output::line(&format!(
            "adpipe {VERSION} processes {} into {}   Ctrl-C ends it",
            up.services().log.location(),
            up.services().warehouse.location()
        ))?,
        Role::Dlq => output::line(&format!(
            "adpipe {VERSION} keeps the dead-letter queue of {} in {}   Ctrl-C ends it",
            up.services().log.location(),
            up.services().warehouse.location()
        ))?,
        Role::Scheduler => output::line(&format!(
            "adpipe {VERSION} schedules on {}   Ctrl-C ends it",
            up.services().warehouse.location()
        ))?,
        Role::Monitor => output::line(&format!(
            "adpipe {VERSION} watches {}   Ctrl-C ends it",
            up.services().warehouse.location()
        ))?,
        Role::Console => output::line(&format!("adpipe {VERSION} console: {}   Ctrl-C ends it", up.url()))?,
    }
    if let Some(url) = up.metrics_url() {
        output::line(&format!("metrics: {url}"))?;
    }
    up.wait()
}
