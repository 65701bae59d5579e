//! `adpipe sql`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

pub const EXAMPLES: &str = "\
Tables: realtime.events, realtime.metrics (by the minute), realtime.metrics_5m,
realtime.metrics_hourly, realtime.offsets, realtime.commits, errors.dlq_errors, and the marts in
analytics. Without a statement you get a shell: statements end with ;, \\d lists the tables, \\d NAME
the columns of a table, and \\? the other commands. Without a terminal, the shell reads statements
from standard input and ends with exit code 1 at the first that fails.

Examples:
  adpipe sql                                          the shell
  adpipe sql 'select count(*) from realtime.events'
  adpipe sql --format vertical 'select * from realtime.events limit 1'
  adpipe sql --format csv 'select * from realtime.metrics_hourly' > hourly.csv
  adpipe sql --format parquet --out hourly.parquet 'select * from realtime.metrics_hourly'";

#[derive(Args)]
pub struct SqlArgs {
    /// The statement, or - to read it from standard input [default: a shell]
    #[arg(allow_hyphen_values = true)]
    pub statement: Option<String>,

    /// How to print the result
    #[arg(long, value_enum, default_value_t = TableFormat::Table)]
    pub format: TableFormat,

    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    pub json: bool,

    /// Write the result to this file, whole or not at all
    #[arg(long, value_name = "FILE", requires = "statement")]
    pub out: Option<PathBuf>,

    /// With --format csv: write text unchanged, for programs. By default, text that a spreadsheet would
    /// run as a formula gets an apostrophe in front
    #[arg(long)]
    pub exact: bool,

    /// Time limit for the database; 0 for none [default: sql.timeout]
    #[arg(long, value_name = "TIME")]
    pub timeout: Option<String>,

    /// Memory limit; 0 for none [default: sql.memory]
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TableFormat {
    /// For people: the first 10,000 rows, as wide as the terminal
    Table,
    /// For people: a line for each value
    Vertical,
    /// CSV with a header, all rows; see --exact
    Csv,
    /// A JSON array of objects
    Json,
    /// A Parquet file; column types (whole numbers, numbers, text, bytes) follow the rows
    Parquet,
}
