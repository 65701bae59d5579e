//! `adpipe run`: one role in this process.

use crate::cli::Role;
use crate::commands::up::{Roles, Up};
use crate::config::Config;
use crate::output;
use crate::services::VERSION;

/// Runs until Ctrl-C or SIGTERM.
pub fn run(config: Config, role: Role) -> anyhow::Result<()> {
    let roles = match role {
        Role::Stream => Roles { stream: true, ..Roles::NONE },
        Role::Dlq => Roles { dlq: true, ..Roles::NONE },
        Role::Scheduler => Roles { scheduler: true, ..Roles::NONE },
        Role::Monitor => Roles { monitor: true, ..Roles::NONE },
        Role::Console => Roles { console: true, ..Roles::NONE },
    };
    let up = Up::start(config, roles)?;
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
