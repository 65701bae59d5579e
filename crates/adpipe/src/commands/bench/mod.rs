//! `adpipe bench`: the figures of this machine, with a plain loop next to them.

mod dlq;
mod etl;
mod measure;
mod scrape;
mod scratch;
mod stages;
mod transform;

use crate::cli::bench::{BenchArgs, BenchKind};
use crate::config::{Config, EventConfig};
use crate::output;
use measure::Figure;

/// Runs what is asked for and prints one table.
pub fn run(mut config: Config, args: &BenchArgs) -> anyhow::Result<()> {
    // Its events have our own names.
    config.event = EventConfig::default();
    if let Some(url) = &args.log {
        config.log.url.clone_from(url);
    }
    const ALL: [BenchKind; 7] = [
        BenchKind::Parse,
        BenchKind::Ingest,
        BenchKind::Http,
        BenchKind::Stream,
        BenchKind::Latency,
        BenchKind::Etl,
        BenchKind::Transform,
    ];
    crate::signals::end_at_once()?;
    let wanted = if args.what.is_empty() { &ALL[..] } else { &args.what };
    // The configured places hold real data: only places named here are written to.
    let mut embedded = config;
    embedded.warehouse.url = String::new();
    let mut config = embedded.clone();
    config.warehouse.url = args.warehouse.clone().unwrap_or_default();
    let mut figures = Vec::new();
    for kind in wanted {
        output::note(&format!("measuring {} …", name(*kind)));
        match kind {
            BenchKind::Parse => figures.extend(stages::parse(args.rows)?),
            BenchKind::Ingest => figures.push(stages::ingest(&embedded, args.rows)?),
            BenchKind::Http => figures.push(stages::http(&embedded, args.rows)?),
            BenchKind::Stream => figures.push(stages::stream(&config, args.rows)?),
            BenchKind::Transform => figures.extend(transform::transform(&config)?),
            BenchKind::Latency => figures.push(stages::latency(&config, args.rate)?),
            BenchKind::Dlq => figures.extend(dlq::dlq(&config, args.rows)?),
            BenchKind::Scrape => figures.extend(scrape::scrape(&config, args.rows)?),
            BenchKind::Etl => figures.extend(etl::etl(&embedded, args.rows, args.python.as_deref())?),
        }
    }
    print(&figures, args.json)
}

fn name(kind: BenchKind) -> &'static str {
    match kind {
        BenchKind::Parse => "parsing",
        BenchKind::Ingest => "ingest",
        BenchKind::Http => "ingest over HTTP",
        BenchKind::Stream => "the stream processor",
        BenchKind::Latency => "latency",
        BenchKind::Etl => "batch",
        BenchKind::Transform => "the transformations",
        BenchKind::Dlq => "the dead-letter queue",
        BenchKind::Scrape => "what scraping costs",
    }
}

fn print(figures: &[Figure], json: bool) -> anyhow::Result<()> {
    if json {
        let list: Vec<serde_json::Value> = figures.iter().map(Figure::to_json).collect();
        return output::json(&serde_json::Value::Array(list));
    }
    let header = ["work", "events", "seconds", "events/s", "cpu s", "peak MB", "note"];
    let right = [false, true, true, true, true, true, false];
    let rows: Vec<Vec<String>> = figures.iter().map(Figure::to_row).collect();
    output::line(&output::table(&header, &right, &rows))
}
