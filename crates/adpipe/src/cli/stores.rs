//! `adpipe stores`.

use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCandidates;

use crate::completion;

pub const EXAMPLES: &str = "\
Log, realtime, errors and ops each remember how far the others were. A store that is gone, older
than that, or of another data set stops what writes to it, and nothing else. Put the newest copy
back; or, when the copy is meant, accept it: that is put on record, with who did so.
Exit code 1 when a store is stopped or records are lost.

Examples:
  adpipe stores
  adpipe stores --json
  adpipe stores accept errors    go on with the queue as it is
  adpipe stores accept log       the records that are named as lost have been sent again";

#[derive(Args)]
pub struct StoresArgs {
    #[command(subcommand)]
    pub action: Option<StoresAction>,

    /// Print JSON
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Subcommand)]
pub enum StoresAction {
    /// Go on with a store as it is
    Accept {
        /// log, realtime, errors or ops
        #[arg(value_name = "NAME", add = ArgValueCandidates::new(completion::stores))]
        name: String,
    },
}
