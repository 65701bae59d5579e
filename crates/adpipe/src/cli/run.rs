//! `adpipe run`, `adpipe demo` and the process between the scheduler and a task.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

#[derive(Args)]
pub struct DemoArgs {
    /// Live events per second
    #[arg(long, default_value_t = 200, value_name = "N")]
    pub rate: u32,

    /// Days of history to generate at the first start
    #[arg(long, default_value_t = 3, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(0..=60))]
    pub days: u32,

    /// Events per day of that history
    #[arg(long, default_value_t = 100_000, value_name = "N")]
    pub events_a_day: u64,
}

#[derive(Args)]
pub struct RunArgs {
    /// The role
    #[arg(value_enum)]
    pub role: Role,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Count the events of the log
    Stream,
    /// Store, retry and repair errors
    Dlq,
    /// Run the DAGs on schedule
    Scheduler,
    /// Serve the console and accept events over HTTP
    Console,
    /// Measure, evaluate the alerts, send notifications
    Monitor,
}

#[derive(Args)]
pub struct TaskProcessArgs {
    /// From SIGTERM to SIGKILL, in milliseconds
    #[arg(long)]
    pub grace_ms: u64,

    /// Where to write which process the task is
    #[arg(long)]
    pub process_file: PathBuf,

    /// Program and arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<std::ffi::OsString>,
}
