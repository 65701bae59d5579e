//! `adpipe transform`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCandidates;

use super::json::JsonArgs;
use crate::completion;

#[derive(Args)]
pub struct TransformArgs {
    #[command(subcommand)]
    pub action: TransformAction,
}

#[derive(Subcommand)]
pub enum TransformAction {
    /// Build the models
    Run(TransformRunArgs),
    /// Run the tests
    Test(TransformRunArgs),
    /// Build seeds and models and run the tests, in the order of their dependencies
    Build(TransformRunArgs),
    /// List models, seeds and tests
    #[command(after_help = "\
Examples:
  adpipe transform ls
  adpipe transform ls --select test_type:data --json
  adpipe transform ls --select +mart_daily_ctr       the model and what it depends on")]
    Ls(TransformListArgs),
    /// Show the SQL of a model or test as the warehouse gets it, and its rows
    #[command(after_help = "\
The rows of a test are those that fail. Nothing is changed.

Examples:
  adpipe transform show mart_daily_ctr
  adpipe transform show no_missing_hours --rows 20")]
    Show(TransformShowArgs),
    /// Check how old the sources are; exit code 1 if one is older than its error_after
    Freshness(JsonArgs),
    /// Write the documentation as one page
    Docs(TransformDocsArgs),
    /// Write the built-in project into a folder, to change it or to run it with dbt
    Export {
        /// A new or empty folder
        folder: PathBuf,
    },
}

#[derive(Args)]
pub struct TransformRunArgs {
    /// Only these: names, tag:T, path:P, source:S, test_type:T …; a + in front adds what it depends
    /// on, a + after it adds what depends on it; a,b selects what matches both
    #[arg(short, long, value_name = "SELECTOR", num_args = 1.., add = ArgValueCandidates::new(completion::nodes))]
    pub select: Vec<String>,

    /// Not these
    #[arg(long, value_name = "SELECTOR", num_args = 1.., add = ArgValueCandidates::new(completion::nodes))]
    pub exclude: Vec<String>,

    /// Build incremental models from scratch
    #[arg(long)]
    pub full_refresh: bool,

    /// Variables of the project, as YAML: '{minutes_kept_days: 30}'
    #[arg(long, value_name = "YAML", default_value = "", hide_default_value = true)]
    pub vars: String,

    /// Print the results as JSON, in the form of dbt's run_results.json
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct TransformListArgs {
    /// Only these, as for run
    #[arg(short, long, value_name = "SELECTOR", num_args = 1.., add = ArgValueCandidates::new(completion::nodes))]
    pub select: Vec<String>,

    /// Not these
    #[arg(long, value_name = "SELECTOR", num_args = 1.., add = ArgValueCandidates::new(completion::nodes))]
    pub exclude: Vec<String>,

    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct TransformShowArgs {
    /// The model, seed or test: its name, or dbt's id
    #[arg(add = ArgValueCandidates::new(completion::nodes))]
    pub name: String,

    /// Also run it, and print the first N rows
    #[arg(long, value_name = "N")]
    pub rows: Option<usize>,

    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct TransformDocsArgs {
    /// File to write [default: index.html in transform.target_path]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}
