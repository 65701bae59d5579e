//! `adpipe demo`: made-up events, everything running.

use std::sync::Arc;
use std::time::{Duration, Instant};

use adpipe_event::{FieldMap, Millis};
use adpipe_generate::{Config as GeneratorConfig, Generator};
use adpipe_ingest::RecordFeeder;
use adpipe_log::{LogError, Records, Topic};
use adpipe_metrics::Role;
use adpipe_runtime::Shutdown;

use super::up::Up;
use crate::cli::run::DemoArgs;
use crate::config::{Config, EventConfig};
use crate::output;
use crate::services::Services;

/// Shares of broken and repeated records in the live traffic: few, but always some to look at.
const BAD: f64 = 0.01;
const DUPLICATES: f64 = 0.01;

const DAY_MS: i64 = 24 * 3_600_000;
const HISTORY_BATCH: usize = 20_000;
const LIVE_STEP: Duration = Duration::from_millis(100);

/// Makes history at the first start, then live traffic until Ctrl-C.
pub fn run(mut config: Config, args: &DemoArgs) -> anyhow::Result<()> {
    // Its events have our own names.
    config.event = EventConfig::default();
    let up = Up::start(config, &Role::ALL)?;
    output::line(&format!("console: {}", up.url()))?;
    output::line(&format!(
        "data:    {}   Ctrl-C stops the demo, nothing is lost",
        up.services().warehouse.location()
    ))?;
    let traffic = {
        let (services, shutdown) = (Arc::clone(up.services()), up.shutdown().clone());
        let (rate, days, events_a_day) = (args.rate, args.days, args.events_a_day);
        std::thread::Builder::new().name("demo-traffic".to_owned()).spawn(move || {
            let outcome = make_history(&services, days, events_a_day, &shutdown)
                .and_then(|()| make_live_traffic(&services, rate, &shutdown));
            if outcome.is_err() {
                shutdown.trigger();
            }
            outcome
        })?
    };
    let ended = up.wait();
    let made =
        traffic.join().map_err(|_| anyhow::anyhow!("the demo's generator panicked; please report this"))?;
    ended.and(made)?;
    output::line("stopped; `adpipe demo` continues from here")
}

/// Some days of events up to now, once: the log remembers how far it got.
fn make_history(
    services: &Services,
    days: u32,
    events_a_day: u64,
    shutdown: &Shutdown,
) -> anyhow::Result<()> {
    let is_empty = services.log.ranges(Topic::Raw)?.iter().all(|range| range.next.0 == 0);
    if !is_empty || days == 0 {
        return Ok(());
    }
    let rows = u64::from(days) * events_a_day;
    let now = Millis::now();
    let mut generator = Generator::new(GeneratorConfig {
        seed: now.0 as u64,
        start_ms: now.0 - i64::from(days) * DAY_MS,
        end_ms: now.0,
        rows: Some(rows),
        now_ms: Some(now.0),
        bad: BAD,
        duplicates: DUPLICATES,
        ..GeneratorConfig::default()
    })?;
    output::note(&format!(
        "generating history: {}, {}",
        output::counted(days.into(), "day"),
        output::counted(rows, "event")
    ));
    let started = Instant::now();
    let mut feeder = RecordFeeder::of_body(&FieldMap::default(), None);
    let mut line = Vec::new();
    loop {
        while feeder.records().len() < HISTORY_BATCH {
            line.clear();
            if generator.next_record(&mut line).is_none() {
                break;
            }
            push(&mut feeder, &line);
        }
        if feeder.records().is_empty() || shutdown.is_triggered() {
            break;
        }
        match append(services, feeder.take()) {
            Err(error) if error.is_transient() => tracing::warn!(%error, "some of the history is left out"),
            other => other?,
        }
    }
    output::note(&format!("history is in the log after {:.1} s", started.elapsed().as_secs_f64()));
    Ok(())
}

/// Events of now at a steady rate.
fn make_live_traffic(services: &Services, rate: u32, shutdown: &Shutdown) -> anyhow::Result<()> {
    let now = Millis::now();
    let mut generator = Generator::new(GeneratorConfig {
        // Another seed each time: the same one would repeat the ids of the last demo.
        seed: (now.0 as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15),
        start_ms: now.0 - DAY_MS,
        end_ms: now.0,
        rows: None,
        now_ms: Some(now.0),
        bad: BAD,
        duplicates: DUPLICATES,
        ..GeneratorConfig::default()
    })?;
    let mut feeder = RecordFeeder::of_body(&FieldMap::default(), None);
    let mut line = Vec::new();
    let mut due = 0.0;
    let mut last = Instant::now();
    while !shutdown.sleep(LIVE_STEP) {
        due += last.elapsed().as_secs_f64() * f64::from(rate);
        last = Instant::now();
        while due >= 1.0 {
            due -= 1.0;
            line.clear();
            generator.next_at(Millis::now().0, &mut line);
            push(&mut feeder, &line);
        }
        match append(services, feeder.take()) {
            Ok(()) => {}
            // Made-up traffic need not be kept: what the log cannot take now is left out.
            Err(error) if error.is_transient() => tracing::warn!(%error, "some live events are left out"),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn push(feeder: &mut RecordFeeder, line: &[u8]) {
    let fits = feeder.add_payload(line);
    debug_assert!(fits, "a batch is far smaller than a buffer");
}

fn append(services: &Services, records: Records) -> Result<(), LogError> {
    if records.is_empty() {
        return Ok(());
    }
    let count = records.len() as u64;
    services.log.append(Topic::Raw, records, None)?.wait()?;
    services.metrics.records_appended.with_label_values(&[Topic::Raw.name()]).inc_by(count);
    Ok(())
}
