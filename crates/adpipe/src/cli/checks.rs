//! `adpipe verify` and `adpipe doctor`.

use std::path::PathBuf;

use clap::Args;

#[derive(Args)]
pub struct VerifyArgs {
    /// Also compare the content of every event, hot and archived, and of every row of the accounts
    /// and of the dead-letter queue with the sums that were stored when they were written
    #[arg(long)]
    pub deep: bool,

    /// Compare stored sums only: records, files and contents are not read. Takes seconds whatever
    /// there is; the last line names what was not checked
    #[arg(long, conflicts_with = "deep")]
    pub quick: bool,

    /// When everything adds up, store the sums of data that was written before sums were kept
    #[arg(long, requires = "deep")]
    pub seal: bool,

    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct DoctorArgs {
    /// Make what is missing
    #[arg(long, conflicts_with = "sample")]
    pub fix: bool,

    /// Look at this file instead: which records would be valid, now and with the [event.fields] that
    /// is proposed for it; `-` reads standard input
    #[arg(long, value_name = "FILE")]
    pub sample: Option<PathBuf>,

    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}
