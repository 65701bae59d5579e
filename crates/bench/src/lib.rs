//! What this machine can do: each stage of the pipeline measured, with a plain loop or a peer beside it.
//!
//! The caller opens what is measured ([`Host`]), because it knows the configuration. `stages.rs` has
//! the stages of one event, `dlq.rs`, `etl.rs`, `transform.rs` and `scrape.rs` what is beside them,
//! `measure.rs` the clock.

mod dlq;
mod etl;
mod host;
mod measure;
mod scrape;
mod stages;
mod transform;

use std::path::PathBuf;

pub use host::{Host, Pipeline, RunningPipeline, WarehouseChoice};
pub use measure::Figure;

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Bytes to events, beside a plain JSON loop.
    Parse,
    /// Files into the log, durable.
    Ingest,
    /// HTTP into the log, durable.
    Http,
    /// Log into the warehouse, committed.
    Stream,
    /// From append to commit at a fixed rate.
    Latency,
    /// Files into the archive, beside DuckDB and Polars.
    Etl,
    /// All marts over the metrics of 40 million events.
    Transform,
    /// Errors stored, searched, and repaired by one edit.
    Dlq,
    /// The stream processor with and without a scraper.
    Scrape,
}

impl Kind {
    /// Those that take about a minute together.
    pub const USUAL: [Kind; 7] =
        [Kind::Parse, Kind::Ingest, Kind::Http, Kind::Stream, Kind::Latency, Kind::Etl, Kind::Transform];

    fn name(self) -> &'static str {
        match self {
            Kind::Parse => "parsing",
            Kind::Ingest => "ingest",
            Kind::Http => "ingest over HTTP",
            Kind::Stream => "the stream processor",
            Kind::Latency => "latency",
            Kind::Etl => "batch",
            Kind::Transform => "the transformations",
            Kind::Dlq => "the dead-letter queue",
            Kind::Scrape => "what scraping costs",
        }
    }
}

/// How much is measured.
#[derive(Debug, Clone)]
pub struct Extent {
    /// Events to work on.
    pub rows: u64,
    /// Events a second of the latency measurement.
    pub rate: u32,
    /// A Python that has DuckDB and Polars.
    pub python: Option<PathBuf>,
}

/// Measures these one after the other.
///
/// # Errors
/// The first one of what is measured.
pub fn run(host: &dyn Host, kinds: &[Kind], extent: &Extent) -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for kind in kinds {
        host.note(&format!("measuring {} …", kind.name()));
        match kind {
            Kind::Parse => figures.extend(stages::parse(extent.rows)?),
            Kind::Ingest => figures.push(stages::ingest(host, extent.rows)?),
            Kind::Http => figures.push(stages::http(host, extent.rows)?),
            Kind::Stream => figures.push(stages::stream(host, extent.rows)?),
            Kind::Transform => figures.extend(transform::transform(host)?),
            Kind::Latency => figures.push(stages::latency(host, extent.rate)?),
            Kind::Dlq => figures.extend(dlq::dlq(host, extent.rows)?),
            Kind::Scrape => figures.extend(scrape::scrape(host, extent.rows)?),
            Kind::Etl => figures.extend(etl::etl(host, extent.rows, extent.python.as_deref())?),
        }
    }
    Ok(figures)
}
