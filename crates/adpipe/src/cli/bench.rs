//! `adpipe bench`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

#[derive(Args)]
pub struct BenchArgs {
    /// What to measure [default: all]
    #[arg(value_enum)]
    pub what: Vec<BenchKind>,

    /// Events to work on
    #[arg(long, default_value_t = 1_000_000, value_name = "N")]
    pub rows: u64,

    /// Measure with this log instead of an embedded one: kafka://HOST:PORT. Creates its own topics
    /// there and deletes them afterwards
    #[arg(long, value_name = "URL")]
    pub log: Option<String>,

    /// Events per second of the latency measurement
    #[arg(long, default_value_t = 20_000, value_name = "N")]
    pub rate: u32,

    /// Measure stream, latency, transform and dlq with this PostgreSQL database. It must be empty; the
    /// data stays there
    #[arg(long, value_name = "URL")]
    pub warehouse: Option<String>,

    /// Python with the packages of DuckDB and Polars, to give them the same file as etl
    #[arg(long, value_name = "FILE")]
    pub python: Option<PathBuf>,

    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BenchKind {
    /// Bytes to events, compared with a plain JSON loop
    Parse,
    /// Files into the log, durable
    Ingest,
    /// HTTP into the log, durable
    Http,
    /// Log into the warehouse, committed
    Stream,
    /// From append to commit at a fixed rate
    Latency,
    /// Files into the archive; with --python also DuckDB and Polars
    Etl,
    /// All marts over the metrics of 40 million events
    Transform,
    /// --rows errors stored, searched, and repaired by one edit; only if you name it
    Dlq,
    /// The stream processor with and without a scraper of /metrics; only if you name it
    Scrape,
}
