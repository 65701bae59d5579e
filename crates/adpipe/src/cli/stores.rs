//! `adpipe stores`.

use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCandidates;

use crate::completion;

pub const EXAMPLES: &str = "\
Log, realtime, errors and ops each remember the position of the others. If a store is gone, older
than that, or belongs to another data set, the roles that write to it stop; everything else
continues. Put the newest copy back. If the older copy is intended, accept it; adpipe records who did
so. Exit code 1 if a store is stopped or records are lost.

Examples:
  adpipe stores
  adpipe stores --json
  adpipe stores accept errors    continue with the queue as it is
  adpipe stores accept log       after you sent the lost records again";

#[derive(Args)]
pub struct StoresArgs {
    #[command(subcommand)]
    pub action: Option<StoresAction>,

    /// Print the result as JSON
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Subcommand)]
pub enum StoresAction {
    /// Continue with a store as it is
    Accept {
        /// log, realtime, errors or ops
        #[arg(value_name = "NAME", add = ArgValueCandidates::new(completion::stores))]
        name: String,
    },
}
