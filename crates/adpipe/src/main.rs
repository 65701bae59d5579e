//! adpipe: the ad-click pipeline in one binary. Command line and wiring only.
//!
//! `cli.rs` defines the commands, `commands/` has one file for each, `services.rs` opens the back ends
//! (`warehouse_place.rs` finds the warehouse, `dags.rs` the DAGs), and `config/` reads `adpipe.toml`.

mod actor;
mod alerts;
mod archive_place;
mod cli;
mod commands;
mod completion;
mod config;
mod dags;
mod log_place;
mod notify;
mod output;
mod progress_bar;
mod project;
mod services;
mod signals;
mod stores;
mod supervisor;
mod warehouse_place;
mod watched_project;

use std::process::ExitCode;

use clap::Parser;

/// Gives back what a crowd of clients leaves behind, so that memory stays near what is in use.
#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Wrong usage or configuration.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    commands::answer_completion();
    let cli = cli::Cli::parse();
    output::start_logging(cli.verbose);
    match commands::run(cli) {
        Ok(code) => code,
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let is_usage = error.is::<config::ConfigError>()
                || error.is::<adpipe_monitor::RulesError>()
                || error.downcast_ref().is_some_and(adpipe_notify::NotifyError::is_usage)
                || error.downcast_ref().is_some_and(adpipe_transform::TransformError::is_usage)
                || error.downcast_ref().is_some_and(adpipe_schedule::ScheduleError::is_usage)
                || matches!(error.downcast_ref(), Some(adpipe_dlq::DlqError::Asked(_)));
            let message = format!("{error:#}");
            if is_usage {
                output::error(&config::suggest::with_suggestion(&message));
                return ExitCode::from(USAGE);
            }
            output::error(&message);
            ExitCode::FAILURE
        }
    }
}
