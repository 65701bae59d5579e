//! `adpipe bench`: the figures of this machine, with a plain loop beside them. What is measured, and
//! how, is in `adpipe-bench`.

mod scratch;

use adpipe_bench::{Extent, Figure, Host, Kind, Pipeline, RunningPipeline, WarehouseChoice};
use adpipe_log::EventLog;
use adpipe_metrics::Role;
use adpipe_warehouse::Warehouse;
use adpipe_warehouse::postgres::is_postgres;

use super::etl;
use super::up::Up;
use crate::cli::bench::{BenchArgs, BenchKind};
use crate::config::{Config, EventConfig};
use crate::output;
use crate::services::Services;
use scratch::Scratch;

/// Runs what is asked for and prints one table.
pub fn run(mut config: Config, args: &BenchArgs) -> anyhow::Result<()> {
    // Its events have our own names.
    config.event = EventConfig::default();
    if let Some(url) = &args.log {
        config.log.url.clone_from(url);
    }
    crate::signals::end_at_once()?;
    // The configured places hold real data: only places named here are written to.
    config.warehouse.url = String::new();
    let host = BenchHost { config, warehouse_url: args.warehouse.clone().unwrap_or_default() };
    let kinds: Vec<Kind> = args.what.iter().copied().map(Kind::from).collect();
    let kinds = if kinds.is_empty() { &Kind::USUAL[..] } else { &kinds };
    let extent = Extent { rows: args.rows, rate: args.rate, python: args.python.clone() };
    print(&adpipe_bench::run(&host, kinds, &extent)?, args.json)
}

/// Opens the back ends that this configuration names, on places of their own.
struct BenchHost {
    config: Config,
    /// Of the database that was named for the measurement; empty for the embedded warehouse.
    warehouse_url: String,
}

impl Host for BenchHost {
    fn open(&self, name: &'static str, warehouse: WarehouseChoice) -> anyhow::Result<Pipeline> {
        let mut config = self.config.clone();
        if warehouse == WarehouseChoice::Named {
            config.warehouse.url.clone_from(&self.warehouse_url);
        }
        let scratch = Scratch::new(name, &config)?;
        let config = scratch.config();
        let dlq = config.dlq.settings(&config.stream, config.event.fields.map())?;
        let (batch, has_embedded_warehouse) = (etl::settings(&config), !is_postgres(&config.warehouse.url));
        let services = Services::open(config)?;
        let stream = services.stream_config();
        Ok(Pipeline {
            log: services.log,
            warehouse: services.warehouse,
            archive: services.archive,
            metrics: services.metrics,
            stream,
            dlq,
            batch,
            folder: scratch.folder().to_path_buf(),
            has_embedded_log: scratch.has_embedded_log(),
            has_embedded_warehouse,
            places: Box::new(scratch),
        })
    }

    fn start(&self, name: &'static str) -> anyhow::Result<Box<dyn RunningPipeline>> {
        let scratch = Scratch::new(name, &self.config)?;
        let up = Up::start(scratch.config(), &Role::ALL)?;
        Ok(Box::new(AllRoles { up, _scratch: scratch }))
    }

    fn note(&self, text: &str) {
        output::note(text);
    }

    fn grouped(&self, number: u64) -> String {
        output::grouped(number)
    }
}

struct AllRoles {
    up: Up,
    /// The last field: the roles end before their places go away.
    _scratch: Scratch,
}

impl RunningPipeline for AllRoles {
    fn url(&self) -> String {
        self.up.url().to_owned()
    }

    fn log(&self) -> &dyn EventLog {
        self.up.services().log.as_ref()
    }

    fn warehouse(&self) -> &dyn Warehouse {
        self.up.services().warehouse.as_ref()
    }

    fn end(self: Box<Self>) -> anyhow::Result<()> {
        let AllRoles { up, _scratch } = *self;
        up.shutdown().trigger();
        up.wait()
    }
}

impl From<BenchKind> for Kind {
    fn from(kind: BenchKind) -> Kind {
        match kind {
            BenchKind::Parse => Kind::Parse,
            BenchKind::Ingest => Kind::Ingest,
            BenchKind::Http => Kind::Http,
            BenchKind::Stream => Kind::Stream,
            BenchKind::Latency => Kind::Latency,
            BenchKind::Etl => Kind::Etl,
            BenchKind::Transform => Kind::Transform,
            BenchKind::Dlq => Kind::Dlq,
            BenchKind::Scrape => Kind::Scrape,
        }
    }
}

fn print(figures: &[Figure], json: bool) -> anyhow::Result<()> {
    if json {
        return output::json(&figures.iter().map(to_json).collect());
    }
    let header = ["work", "events", "seconds", "events/s", "cpu s", "peak MB", "note"];
    let right = [false, true, true, true, true, true, false];
    let rows: Vec<Vec<String>> = figures.iter().map(to_row).collect();
    output::line(&output::table(&header, &right, &rows))
}

fn to_json(figure: &Figure) -> serde_json::Value {
    serde_json::json!({
        "work": figure.work, "events": figure.events, "seconds": figure.seconds,
        "events_per_second": figure.events_per_second(), "cpu_seconds": figure.cpu_seconds,
        "peak_mb": figure.peak_mb, "note": figure.note,
    })
}

fn to_row(figure: &Figure) -> Vec<String> {
    vec![
        figure.work.clone(),
        output::grouped(figure.events),
        format!("{:.2}", figure.seconds),
        output::grouped(figure.events_per_second() as u64),
        format!("{:.2}", figure.cpu_seconds),
        format!("{:.0}", figure.peak_mb),
        figure.note.clone(),
    ]
}
