//! The dead-letter queue when it is full: how fast errors come in, how long people wait for an
//! answer, and what it takes to repair many.

use std::sync::Arc;
use std::time::{Duration, Instant};

use adpipe_dlq::jobs::{self, Work};
use adpipe_dlq::patch::Patch;
use adpipe_dlq::report::{groups, list, sparklines};
use adpipe_dlq::{Dlq, DlqSettings, Filter, Status, consumer, role};
use adpipe_event::Millis;
use anyhow::{Context, bail};

use crate::host::{Host, Pipeline, WarehouseChoice};
use crate::measure::{Figure, measure};
use crate::stages::{beside, fill_log};

/// How long filling and repairing may take before something must be wrong.
const FILL_LIMIT: Duration = Duration::from_secs(3_600);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How often each question is asked.
const TIMES_ASKED: usize = 20;
/// Errors on a page, as in the console.
const PAGE: usize = 50;

/// What the edit repairs: numbers that are missing, of a wrong type or out of range.
const MENDED: [&str; 3] = ["banner_pos", "device_type", "device_conn_type"];
const MENDING: &str = r#"[
    {"op":"add","path":"/banner_pos","value":0},
    {"op":"add","path":"/device_type","value":1},
    {"op":"add","path":"/device_conn_type","value":0}
]"#;

/// Fills a queue with so many errors of every type, asks it, and repairs what one edit can.
pub fn dlq(host: &dyn Host, errors: u64) -> anyhow::Result<Vec<Figure>> {
    let pipeline = host.open("dlq", WarehouseChoice::Named)?.must_be_empty()?;
    // What adpipe can do is to be seen, not what it is held back to.
    let settings = DlqSettings { retries_per_second: u32::MAX, ..pipeline.dlq.clone() };
    let (log, warehouse) = (Arc::clone(&pipeline.log), Arc::clone(&pipeline.warehouse));
    let dlq = Dlq::new(settings, log, warehouse, pipeline.metrics.clone());
    fill_log(&pipeline, errors, 1.0)?;
    beside(|stop| pipeline.run_stream(stop), || pipeline.wait_until_committed(FILL_LIMIT))?;
    let mut figures = vec![store(&dlq, errors)?];
    figures.extend(ask(&dlq)?);
    figures.push(repair(host, &pipeline, &dlq)?);
    Ok(figures)
}

/// From the log's error topic into the queue.
fn store(dlq: &Dlq, errors: u64) -> anyhow::Result<Figure> {
    measure("dlq: error topic → stored", || {
        let is_all_stored = || Ok(role::lag(dlq)?.iter().all(|(_, errors)| *errors == 0));
        beside(|stop| Ok(consumer::run(dlq, stop)?), || wait_until(is_all_stored))?;
        Ok(errors)
    })
}

fn wait_until(is_so: impl Fn() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let started = Instant::now();
    while !is_so()? {
        if started.elapsed() > FILL_LIMIT {
            bail!("the queue did not finish within {} s", FILL_LIMIT.as_secs());
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}

/// What the console's page and `adpipe dlq` ask.
fn ask(dlq: &Dlq) -> anyhow::Result<Vec<Figure>> {
    let causes = groups(dlq)?;
    let cause = causes.iter().max_by_key(|group| group.open()).context("no error was stored")?;
    let page = list(dlq, &Filter::default(), None, PAGE)?;
    let newest = page.errors.first().context("no error was stored")?;
    let at = Millis::parse_sql(&newest.first_failed_at).context("an error without its time")?;
    let filters: [(&str, Filter); 8] = [
        ("the newest", Filter::default()),
        ("of a status", Filter { status: vec![Status::Exhausted], ..Filter::default() }),
        ("of a type", Filter { error_type: vec![cause.error_type.clone()], ..Filter::default() }),
        ("of a field", Filter { field: vec![MENDED[0].to_owned()], ..Filter::default() }),
        ("of a cause", Filter { group: vec![cause.fingerprint.clone()], ..Filter::default() }),
        ("before a time", Filter { until: Some(at.to_string()), ..Filter::default() }),
        ("of a topic", Filter { topic: Some(newest.topic.clone()), ..Filter::default() }),
        (
            "with a text that none has",
            Filter { text: Some("nowhere to be found".to_owned()), ..Filter::default() },
        ),
    ];
    let mut figures = vec![answers("dlq: causes, sparklines", || {
        groups(dlq)?;
        Ok(sparklines(dlq).map(|_| ())?)
    })?];
    for (name, filter) in filters {
        figures
            .push(answers(&format!("dlq: list {name}"), || Ok(list(dlq, &filter, None, PAGE).map(|_| ())?))?);
    }
    Ok(figures)
}

/// Asks again and again; the slowest answer is the one that people remember.
fn answers(work: &str, question: impl Fn() -> anyhow::Result<()>) -> anyhow::Result<Figure> {
    let mut took = Vec::with_capacity(TIMES_ASKED);
    let mut figure = measure(work, || {
        for _ in 0..TIMES_ASKED {
            let asked = Instant::now();
            question()?;
            took.push(asked.elapsed());
        }
        Ok(TIMES_ASKED as u64)
    })?;
    took.sort_unstable();
    let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
    let slowest = took.last().copied().unwrap_or_default();
    figure.note = format!("median {:.1} ms, slowest {:.1} ms", ms(took[took.len() / 2]), ms(slowest));
    Ok(figure)
}

/// One edit of all errors that it mends, sent again, counted and closed.
fn repair(host: &dyn Host, pipeline: &Pipeline, dlq: &Dlq) -> anyhow::Result<Figure> {
    let filter = Filter { field: MENDED.map(str::to_owned).to_vec(), ..Filter::default() };
    let work = Work::Edit(Patch::from_json(MENDING)?);
    let mut outcomes = jobs::Outcomes::default();
    let mut left_alone = 0;
    let mut figure = measure("dlq: bulk edit → counted", || {
        let do_it = || {
            let job_id = jobs::create(dlq, &filter, &work, 0, "bench")?.job_id;
            wait_until(|| {
                let is_open = jobs::get(dlq, &job_id)?.is_open();
                Ok(!is_open && jobs::outcomes(dlq, &job_id)?.waiting == 0)
            })?;
            outcomes = jobs::outcomes(dlq, &job_id)?;
            let job = jobs::get(dlq, &job_id)?;
            left_alone = job.skipped as u64;
            Ok(job.changed as u64)
        };
        beside(|stop| pipeline.run_stream(stop), || beside(|stop| Ok(role::run(dlq, stop)?), do_it))
    })?;
    figure.note =
        format!("{} counted, {} left alone", host.grouped(outcomes.applied), host.grouped(left_alone));
    Ok(figure)
}
