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

    /// Measure with this log instead of an embedded one: kafka://HOST:PORT. Makes topics of its
    /// own there and removes them
    #[arg(long, value_name = "URL")]
    pub log: Option<String>,

    /// Events per second of the latency measurement
    #[arg(long, default_value_t = 20_000, value_name = "N")]
    pub rate: u32,

    /// Measure stream, latency, transform and dlq with this PostgreSQL database, which must be empty and keeps
    /// what is written
    #[arg(long, value_name = "URL")]
    pub warehouse: Option<String>,

    /// Give DuckDB and Polars the same file as etl, with this Python that has their packages
    #[arg(long, value_name = "FILE")]
    pub python: Option<PathBuf>,

    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BenchKind {
    /// Bytes to events, beside a plain JSON loop
    Parse,
    /// Files into the log, durable
    Ingest,
    /// HTTP into the log, durable
    Http,
    /// Log into the warehouse, committed
    Stream,
    /// From append to commit at a fixed rate
    Latency,
    /// Files into the archive; DuckDB and Polars beside it, with --python
    Etl,
    /// All marts over the metrics of 40 million events
    Transform,
    /// As many errors as --rows says: stored, searched, and repaired by one edit; only when it is
    /// named
    Dlq,
    /// The stream processor with and without somebody who scrapes /metrics; only when it is named
    Scrape,
}
