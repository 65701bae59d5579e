//! One file a command.

mod alerts;
mod backup;
mod bench;
mod completions;
mod config;
mod configuration;
mod dag;
mod demo;
mod dlq;
mod doctor;
mod etl;
mod generate;
mod health;
mod ingest;
mod manual;
mod rebuild;
mod run;
mod sql;
mod stores;
mod topic;
mod transform;
mod up;
mod verify;

use std::process::ExitCode;

use crate::cli::config::ConfigAction;
use crate::cli::{Cli, Command};
use configuration::configuration;

pub use completions::answer as answer_completion;

pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let done = |()| ExitCode::SUCCESS;
    match &cli.command {
        Command::Generate(args) => generate::run(args),
        Command::Completions { shell } => completions::print_script(*shell).map(done),
        Command::Man(args) => manual::run(args).map(done),
        Command::Topic(args) => topic::run(&configuration(&cli, None)?, &args.action),
        Command::Demo(args) => demo::run(configuration(&cli, Some("data/demo"))?, args).map(done),
        Command::Up => up::run(configuration(&cli, None)?).map(done),
        Command::Run(args) => run::run(configuration(&cli, None)?, args.role).map(done),
        Command::Ingest(args) => ingest::run(configuration(&cli, None)?, args),
        Command::Etl(args) => etl::run(configuration(&cli, None)?, args),
        Command::Stores(args) => stores::run(configuration(&cli, None)?, args),
        Command::Sql(args) => sql::run(configuration(&cli, None)?, args),
        Command::Dlq(args) => dlq::run(configuration(&cli, None)?, &args.action),
        Command::Alerts(args) => alerts::run(configuration(&cli, None)?, &args.action),
        Command::Backup(args) => backup::take(&configuration(&cli, None)?, cli.config.as_deref(), args),
        Command::Restore(args) => backup::restore(&configuration(&cli, None)?, args),
        Command::Rebuild(args) => rebuild::run(&configuration(&cli, None)?, args),
        Command::Verify(args) => verify::run(configuration(&cli, None)?, args),
        Command::Transform(args) => transform::run(configuration(&cli, None)?, &args.action),
        Command::Doctor(args) => doctor::run(&cli, args),
        Command::Health(args) => health::run(&configuration(&cli, None)?, args.json),
        Command::Config(args) => {
            let ConfigAction::Show(json) = &args.action;
            config::show(&configuration(&cli, None)?, json.json).map(done)
        }
        Command::Dag(args) => dag::run(configuration(&cli, None)?, &args.action),
        Command::TaskProcess(args) => {
            let grace = std::time::Duration::from_millis(args.grace_ms);
            Ok(ExitCode::from(adpipe_schedule::task_process::run(&args.command, grace, &args.process_file)))
        }
        Command::Bench(args) => bench::run(configuration(&cli, None)?, args).map(done),
    }
}
