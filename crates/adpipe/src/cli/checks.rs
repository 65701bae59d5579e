//! `adpipe verify` and `adpipe doctor`.

use std::path::PathBuf;

use clap::Args;

#[derive(Args)]
pub struct VerifyArgs {
    /// Also compare the content of every event, hot and archived, and every row of the accounts and
    /// of the dead-letter queue, with the sums that were stored with them
    #[arg(long)]
    pub deep: bool,

    /// Compare stored sums only, without reading records, files and contents. Takes seconds, however
    /// much there is. The last line names what was not checked
    #[arg(long, conflicts_with = "deep")]
    pub quick: bool,

    /// If everything adds up, store sums for data that was written before sums were kept
    #[arg(long, requires = "deep")]
    pub seal: bool,

    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct DoctorArgs {
    /// Create what is missing
    #[arg(long, conflicts_with = "sample")]
    pub fix: bool,

    /// Read this file instead, propose [event.fields] for it, and report how many records would be
    /// valid now and with the proposal; `-` reads standard input
    #[arg(long, value_name = "FILE")]
    pub sample: Option<PathBuf>,

    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}
