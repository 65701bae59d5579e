//! `adpipe sql`.

use clap::{Args, ValueEnum};

#[derive(Args)]
pub struct SqlArgs {
    /// The statement, or - to read it from standard input
    #[arg(allow_hyphen_values = true)]
    pub statement: String,

    /// How to print the result
    #[arg(long, value_enum, default_value_t = TableFormat::Table)]
    pub format: TableFormat,

    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    pub json: bool,

    /// With --format csv: text as it is, for programs. Without it a text that a spreadsheet would run
    /// as a formula gets an apostrophe in front
    #[arg(long)]
    pub exact: bool,

    /// Longest time that the database may work on it; 0 for no limit [default: sql.timeout]
    #[arg(long, value_name = "TIME")]
    pub timeout: Option<String>,

    /// Most memory that it may take; 0 for no limit [default: sql.memory]
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TableFormat {
    /// For people; the first 10,000 rows
    Table,
    /// CSV with a header, all rows; see --exact
    Csv,
    /// A JSON array of objects
    Json,
}
