//! The ways in: `adpipe ingest` and `adpipe etl`.

use std::path::PathBuf;

use adpipe_event::ErrorLimit;
use clap::{Args, ValueEnum};

#[derive(Args)]
pub struct IngestArgs {
    /// Files, or - for standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// Wait until the events are counted, and print the totals. If no `adpipe up` runs, the command
    /// counts them itself
    #[arg(long)]
    pub wait: bool,

    /// Use this format instead of detecting it
    #[arg(long, value_enum)]
    pub format: Option<FileFormat>,

    /// Stop with exit code 1 before more records than this are invalid: a number, or a share such as
    /// 1%. Records before that are in the log
    #[arg(long, value_name = "N|P%")]
    pub max_errors: Option<ErrorLimit>,

    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum FileFormat {
    /// One JSON object per line
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

    /// Only files whose names contain this date (2014-10-21, 20141021 or 2014_10_21), with all their
    /// rows, whatever their times. The report lists the files it passes over. Closed hours that came by
    /// stream are archived whatever their date
    #[arg(long, value_name = "DATE")]
    pub date: Option<String>,

    /// Read known files again; their rows count as duplicates
    #[arg(long)]
    pub force: bool,

    /// Only validate and report; write nothing
    #[arg(long)]
    pub dry_run: bool,

    /// Stop with exit code 1 before more rows than this are invalid: a number, or a share such as 1%.
    /// What was committed before that stays
    #[arg(long, value_name = "N|P%")]
    pub max_errors: Option<ErrorLimit>,

    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}
