//! `adpipe config`.

use clap::{Args, Subcommand};

use super::JsonArgs;

#[derive(Args)]
pub struct ConfigArgs {
    #[command(subcommand)]
    pub action: ConfigAction,
}

#[derive(Subcommand)]
pub enum ConfigAction {
    /// Print what is in force and where each value comes from: default, file, variable or flag
    Show(JsonArgs),
}
