//! `adpipe config`.

use clap::{Args, Subcommand};

use super::json::JsonArgs;

#[derive(Args)]
pub struct ConfigArgs {
    #[command(subcommand)]
    pub action: ConfigAction,
}

#[derive(Subcommand)]
pub enum ConfigAction {
    /// Print every value in force and what set it: default, file, variable or flag
    Show(JsonArgs),
}
