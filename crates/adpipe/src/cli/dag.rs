//! `adpipe dag`.

use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCandidates;

use super::json::JsonArgs;
use crate::completion;

#[derive(Args)]
pub struct DagArgs {
    #[command(subcommand)]
    pub action: DagAction,
}

#[derive(Subcommand)]
pub enum DagAction {
    /// Print every DAG, when it is due next and the result of its last run
    List(JsonArgs),
    /// Run a DAG now and wait until it ends; exit code 1 if it fails
    Run(DagRunArgs),
    /// Run a DAG for every data interval of a range of days, oldest first
    #[command(after_help = "\
Intervals that have succeeded are skipped unless you add --all. DAGs that follow this one run once,
at the end, over the whole range.

Examples:
  adpipe dag backfill dag_daily_etl --from 2026-01-01 --to 2026-01-31 --dry-run
  adpipe dag backfill dag_daily_etl --from 2026-01-01 --to 2026-01-31")]
    Backfill(DagBackfillArgs),
    /// Print the newest runs, of one DAG or of all
    Runs(DagRunsArgs),
    /// Print the output of a run's tasks
    #[command(after_help = "\
Examples:
  adpipe dag logs dag_daily_etl                 the newest run
  adpipe dag logs dag_daily_etl --follow        as it is written
  adpipe dag logs dag_dbt_run --task test --try 1")]
    Logs(DagLogsArgs),
    /// Run the tasks of a finished run that did not succeed again
    Retry(DagRetryArgs),
    /// Stop a run; its tasks get SIGTERM, then SIGKILL
    Cancel(DagRunName),
}

#[derive(Args)]
pub struct DagRunArgs {
    /// The DAG
    #[arg(add = ArgValueCandidates::new(completion::dags))]
    pub dag: String,

    /// The data interval that begins on this day (in the DAG's time zone) [default: the newest]
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub date: Option<jiff::civil::Date>,

    /// Only queue it, for the active scheduler
    #[arg(long)]
    pub no_wait: bool,

    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct DagBackfillArgs {
    /// The DAG
    #[arg(add = ArgValueCandidates::new(completion::dags))]
    pub dag: String,

    /// First day, in the DAG's time zone
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub from: jiff::civil::Date,

    /// Last day, included
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub to: jiff::civil::Date,

    /// Also run intervals that have succeeded
    #[arg(long)]
    pub all: bool,

    /// Only print what would run
    #[arg(long)]
    pub dry_run: bool,

    /// Only queue it, for the active scheduler
    #[arg(long)]
    pub no_wait: bool,

    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct DagRunsArgs {
    /// The DAG [default: all]
    #[arg(add = ArgValueCandidates::new(completion::dags))]
    pub dag: Option<String>,

    /// Maximum number of runs
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,

    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct DagRunName {
    /// The DAG
    #[arg(add = ArgValueCandidates::new(completion::dags))]
    pub dag: String,

    /// The run, as `adpipe dag runs` prints it [default: the newest]
    pub run: Option<String>,
}

#[derive(Args)]
pub struct DagLogsArgs {
    #[command(flatten)]
    pub name: DagRunName,

    /// Only this task
    #[arg(long)]
    pub task: Option<String>,

    /// Only this attempt [default: the newest]
    #[arg(long = "try", value_name = "N", requires = "task")]
    pub try_number: Option<i64>,

    /// Continue to print new output until the run ends
    #[arg(short, long)]
    pub follow: bool,
}

#[derive(Args)]
pub struct DagRetryArgs {
    #[command(flatten)]
    pub name: DagRunName,

    /// Also the tasks that succeeded
    #[arg(long)]
    pub all: bool,

    /// Only queue it, for the active scheduler
    #[arg(long)]
    pub no_wait: bool,

    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}
