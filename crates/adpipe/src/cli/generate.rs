//! `adpipe generate`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

#[derive(Args)]
pub struct GenerateArgs {
    /// Number of records; with --rate alone, they never end
    #[arg(long, value_name = "N")]
    pub rows: Option<u64>,

    /// The same seed gives the same events, byte for byte. Without --start and --end, they are on
    /// 2014-10-21, the first day of the Avazu data [default: events of the last 24 hours]
    #[arg(long, value_name = "S")]
    pub seed: Option<u64>,

    /// Records per second, with the current time
    #[arg(long, value_name = "R", value_parser = clap::value_parser!(u32).range(1..))]
    pub rate: Option<u32>,

    /// Share of invalid records, 0 to 1, spread over all error types
    #[arg(long, default_value_t = 0.0, value_name = "P")]
    pub bad: f64,

    /// Share of records that repeat an earlier one, 0 to 1
    #[arg(long, default_value_t = 0.0, value_name = "P")]
    pub duplicates: f64,

    /// Format to write
    #[arg(long, value_enum, default_value_t = GenerateFormat::Ndjson)]
    pub format: GenerateFormat,

    /// First event time (UTC): YYYY-MM-DD or YYYY-MM-DDTHH:MM:SS [default: a day before --end; with
    /// --seed 2014-10-21]
    #[arg(long, value_name = "TIME")]
    pub start: Option<String>,

    /// End of the event times (UTC) [default: now; with --seed a day after --start]
    #[arg(long, value_name = "TIME")]
    pub end: Option<String>,

    /// Write times as Avazu does, YYMMDDHH
    #[arg(long)]
    pub avazu_hours: bool,

    /// Write to this file instead of standard output
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,

    /// Write the counts by kind to this file as JSON
    #[arg(long, value_name = "FILE")]
    pub account: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GenerateFormat {
    /// One JSON object per line
    Ndjson,
    /// CSV with a header
    Csv,
}
