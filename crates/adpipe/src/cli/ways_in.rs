//! The ways in: `adpipe ingest` and `adpipe etl`.

use std::path::PathBuf;

use adpipe_event::ErrorLimit;
use clap::{Args, ValueEnum};

#[derive(Args)]
pub struct IngestArgs {
    /// Files, or - for standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// Wait until the events are counted, and say what they were. Counts them itself when no
    /// `adpipe up` does
    #[arg(long)]
    pub wait: bool,

    /// Take this format instead of finding it out
    #[arg(long, value_enum)]
    pub format: Option<FileFormat>,

    /// End with exit code 1 before more records than this are invalid: a number, or a share like 1%.
    /// The records before that are in the log
    #[arg(long, value_name = "N|P%")]
    pub max_errors: Option<ErrorLimit>,

    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum FileFormat {
    /// One JSON object a line
    Ndjson,
    /// A JSON array
    Json,
    /// CSV with a header
    Csv,
}

#[derive(Args)]
pub struct EtlArgs {
    /// Files and folders to read instead of etl.raw_folder
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// Only files whose names hold this date (2014-10-21, 20141021 or 2014_10_21), with all their
    /// rows, whatever their times; the report lists the files passed over. Closed hours that came by
    /// stream are archived whatever date they have
    #[arg(long, value_name = "DATE")]
    pub date: Option<String>,

    /// Read files that are known already again; what they held counts as duplicate
    #[arg(long)]
    pub force: bool,

    /// Validate and report only: nothing is written
    #[arg(long)]
    pub dry_run: bool,

    /// End with exit code 1 before more rows than this are invalid: a number, or a share like 1%.
    /// What was committed before that stays
    #[arg(long, value_name = "N|P%")]
    pub max_errors: Option<ErrorLimit>,

    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}
