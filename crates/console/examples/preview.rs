//! A console with made-up events, for work on its pages.
//!
//! `cargo run --release -p adpipe-console --example preview -- FOLDER PORT EVENTS_PER_SECOND [HISTORY]`
//!
//! HISTORY events are spread over the last 30 days before the live ones begin.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use adpipe_console::{Console, ConsoleConfig, Services};
use adpipe_dlq::{Dlq, DlqSettings};
use adpipe_event::Millis;
use adpipe_generate::{Config, Generator};
use adpipe_log::sqlite::SqliteLog;
use adpipe_log::{EventLog, Headers, Records, Topic, append_and_wait};
use adpipe_metrics::Metrics;
use adpipe_monitor::rules::Rules;
use adpipe_runtime::Shutdown;
use adpipe_stream::{StreamConfig, processor};
use adpipe_transform::{Project, ProjectFiles, Target, TransformError};
use adpipe_warehouse::Warehouse;
use adpipe_warehouse::sqlite::SqliteWarehouse;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().unwrap_or_else(|| "preview-data".to_owned()));
    let mut number = |otherwise: u64| arguments.next().map_or(Ok(otherwise), |text| text.parse::<u64>());
    let (port, rate, history) = (number(8088)?, number(1_000)?, number(0)?);

    let log: Arc<dyn EventLog> = Arc::new(SqliteLog::open(&folder)?);
    let warehouse = Arc::new(SqliteWarehouse::open(&folder)?);
    let metrics = Metrics::new("preview")?;
    let shutdown = Shutdown::new();
    let dlq =
        Dlq::new(DlqSettings::default(), Arc::clone(&log), Arc::clone(&warehouse) as _, metrics.clone());
    let services = Services {
        dlq: dlq.clone(),
        log: Arc::clone(&log),
        warehouse: Arc::clone(&warehouse) as _,
        metrics: metrics.clone(),
        docs_page: {
            let warehouse = Arc::clone(&warehouse);
            Arc::new(move || docs_page(warehouse.as_ref()).map_err(|error| error.to_string()))
        },
        project_tests: Arc::new(|| None),
        rules: Arc::new(Rules::built_in()?),
        version: "preview",
    };
    let config = ConsoleConfig { port: u16::try_from(port)?, ..ConsoleConfig::default() };
    std::thread::scope(|scope| {
        if rate > 0 {
            scope.spawn(|| {
                processor::run(
                    &StreamConfig::default(),
                    log.as_ref(),
                    warehouse.as_ref(),
                    &metrics,
                    &Shutdown::new(),
                )
            });
            scope.spawn(|| produce(log.as_ref(), rate, history));
        }
        scope.spawn(|| adpipe_dlq::role::run(&dlq, &Shutdown::new()));
        tokio::runtime::Runtime::new()?.block_on(async {
            let console = Console::bind(config, services).await?;
            println!("{}", console.url());
            console.serve(shutdown).await?;
            Ok(())
        })
    })
}

fn docs_page(warehouse: &dyn Warehouse) -> Result<String, TransformError> {
    let target = Target::new(warehouse.dialect());
    let project = Project::load(&ProjectFiles::embedded(), &target, "")?;
    adpipe_transform::page(warehouse, &project)
}

fn produce(log: &dyn EventLog, rate: u64, history: u64) -> Result<(), Failure> {
    let now = Millis::now().0;
    let shared = Config { bad: 0.006, duplicates: 0.01, ..Config::default() };
    let past = Config {
        start_ms: now - 30 * 86_400_000,
        end_ms: now,
        rows: Some(history),
        now_ms: Some(now),
        ..shared.clone()
    };
    let mut generator = Generator::new(past)?;
    let mut bytes = Vec::new();
    loop {
        let made = records(10_000, &mut bytes, |bytes| generator.next_record(bytes).is_some());
        if made.is_empty() {
            break;
        }
        let mut made = Some(made);
        append_and_wait(log, Topic::Raw, || made.take().unwrap_or_default(), None)?;
    }
    let live = Config { seed: now as u64, start_ms: now, end_ms: now + 86_400_000, rows: None, ..shared };
    let mut generator = Generator::new(live)?;
    loop {
        let made = records(rate / 10, &mut bytes, |bytes| {
            generator.next_at(Millis::now().0, bytes);
            true
        });
        let mut made = Some(made);
        append_and_wait(log, Topic::Raw, || made.take().unwrap_or_default(), None)?;
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn records(count: u64, bytes: &mut Vec<u8>, mut next: impl FnMut(&mut Vec<u8>) -> bool) -> Records {
    let mut records = Records::new();
    let plain = records.add_headers(Headers::default());
    for _ in 0..count {
        bytes.clear();
        if !next(bytes) {
            break;
        }
        let key = adpipe_event::record_id(bytes, None).unwrap_or_default();
        if !records.push(&key, bytes, plain) {
            break;
        }
    }
    records
}
