//! Batch, and next to it DuckDB and Polars on the same file when they are there.

use std::path::Path;
use std::process::{Command, Stdio};

use adpipe_batch::{BackEnds, EtlConfig, Progress};
use adpipe_event::Millis;
use adpipe_generate::{Config as GeneratorConfig, Generator, TimeFormat};
use adpipe_runtime::Shutdown;
use anyhow::{Context, bail};

use crate::host::{Host, Pipeline, WarehouseChoice};
use crate::measure::{Figure, measure};

const DAY_MS: i64 = 24 * 3_600_000;

/// Days of the file, as many as Avazu's has.
const DAYS: i64 = 10;

/// What the peers do: the same columns, deduplicated by hour and id, into zstd Parquet. They do
/// not validate, and make no figures.
const PEERS: [(&str, &str); 2] = [
    (
        "DuckDB",
        "import duckdb
duckdb.sql(f\"copy (select distinct on (hour, id) * from read_csv('{source}', types={{'id': 'VARCHAR'}})) \"
           f\"to '{target}' (format parquet, compression zstd)\")
rows = duckdb.sql(f\"select count(*) from '{target}'\").fetchall()[0][0]
version = duckdb.__version__",
    ),
    (
        "Polars",
        "import polars
polars.scan_csv(source, schema_overrides={'id': polars.String}).unique(subset=['hour', 'id'], keep='first') \\
    .sink_parquet(target, compression='zstd')
rows = polars.scan_parquet(target).select(polars.len()).collect().item()
version = polars.__version__",
    ),
];

/// CSV to archive and figures; then the peers, as far as this Python has them.
pub fn etl(host: &dyn Host, rows: u64, python: Option<&Path>) -> anyhow::Result<Vec<Figure>> {
    let pipeline = host.open("etl", WarehouseChoice::Embedded)?;
    let source = pipeline.folder.join("events.csv");
    generate(&source, rows)?;
    let mut figures = vec![ours(host, &pipeline, &source)?];
    for (name, work) in PEERS {
        match python {
            Some(python) => figures.extend(peer(host, name, work, python, &source, &figures[0])?),
            None => host.note(&format!("{name} is left out: name a Python that has it with --python")),
        }
    }
    Ok(figures)
}

fn generate(path: &Path, rows: u64) -> anyhow::Result<()> {
    let end_ms = Millis::now().0 / DAY_MS * DAY_MS;
    let mut generator = Generator::new(GeneratorConfig {
        seed: 42,
        start_ms: end_ms - DAYS * DAY_MS,
        end_ms,
        rows: Some(rows),
        now_ms: Some(end_ms),
        format: adpipe_generate::Format::Csv,
        time_format: TimeFormat::AvazuHour,
        duplicates: 0.01,
        ..GeneratorConfig::default()
    })?;
    let mut file = std::io::BufWriter::with_capacity(1 << 20, std::fs::File::create(path)?);
    generator.write_all(&mut file)?;
    std::io::Write::flush(&mut file)?;
    Ok(())
}

fn ours(host: &dyn Host, pipeline: &Pipeline, source: &Path) -> anyhow::Result<Figure> {
    let back_ends = BackEnds {
        warehouse: pipeline.warehouse.as_ref(),
        log: pipeline.log.as_ref(),
        archive: &pipeline.archive,
        metrics: &pipeline.metrics,
    };
    let etl = EtlConfig {
        raw_folder: pipeline.folder.clone(),
        named: vec![source.to_path_buf()],
        ..pipeline.batch.clone()
    };
    let mut report = None;
    let mut figure = measure("etl: CSV → archive + figures", || {
        let done = adpipe_batch::run(&etl, back_ends, &Progress::new(), &Shutdown::new())?;
        let rows = done.counts().records;
        report = Some(done);
        Ok(rows)
    })?;
    if let Some(report) = report {
        let hot_seconds = (report.took - report.took_files).as_secs_f64();
        figure.note = format!(
            "{:.0} MB archive; {hot_seconds:.1} s of it for {} hot events",
            report.part_bytes as f64 / 1e6,
            host.grouped(report.made_hot)
        );
    }
    Ok(figure)
}

fn peer(
    host: &dyn Host,
    name: &str,
    work: &str,
    python: &Path,
    source: &Path,
    ours: &Figure,
) -> anyhow::Result<Option<Figure>> {
    let target = source.with_extension("peer.parquet");
    let script = format!(
        "import json, resource, sys, time\nsource, target = sys.argv[1:]\nbegan = time.monotonic()\n{work}\n\
         used = resource.getrusage(resource.RUSAGE_SELF)\n\
         print(json.dumps([time.monotonic() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, rows, version]))"
    );
    let output = Command::new(python)
        .arg("-c")
        .arg(script)
        .args([source, &target])
        .stderr(Stdio::piped())
        .output()
        .with_context(|| format!("cannot run {}", python.display()))?;
    let _ = std::fs::remove_file(&target);
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        if words.contains("ModuleNotFoundError") {
            host.note(&format!("{name} is left out: {} has it not", python.display()));
            return Ok(None);
        }
        bail!("{name} failed: {}", words.trim());
    }
    // A progress bar may come before it.
    let said = String::from_utf8_lossy(&output.stdout);
    let answer = said.trim_end().rsplit(['\n', '\r']).next().unwrap_or_default();
    let (seconds, cpu_seconds, peak_mb, kept, version): (f64, f64, f64, u64, String) =
        serde_json::from_str(answer).context("the peer's answer cannot be read")?;
    let speed = ours.events as f64 / seconds.max(1e-9);
    Ok(Some(Figure {
        work: format!("{name} {version}: CSV → Parquet, dedup"),
        events: ours.events,
        seconds,
        cpu_seconds,
        peak_mb,
        note: format!(
            "ours {:.1} x as fast, {:.2} x its memory; {} rows kept, no validation, no figures",
            ours.events_per_second() / speed,
            ours.peak_mb / peak_mb.max(1e-9),
            host.grouped(kept)
        ),
    }))
}
