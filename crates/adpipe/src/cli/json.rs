//! The flag that most commands have.

use clap::Args;

#[derive(Args)]
pub struct JsonArgs {
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}
