//! `adpipe alerts`.

mod summary;
mod test_notify;

use std::process::ExitCode;

use crate::cli::alerts::AlertsAction;
use crate::config::Config;

/// Runs the subcommand.
pub fn run(config: Config, action: &AlertsAction) -> anyhow::Result<ExitCode> {
    match action {
        AlertsAction::TestNotify => test_notify::run(&config),
        AlertsAction::Summary(args) => summary::run(config, args),
    }
}
