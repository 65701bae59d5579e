//! Gauges about what no long-lived role sets itself: ETL runs, the archive, DAGs, data tests, sources, and
//! what waits to be sent. The monitor role sets them every 15 s.

use std::collections::BTreeMap;
use std::time::Instant;

use adpipe_event::Millis;
use adpipe_metrics::{Metrics, Role};
use adpipe_transform::Status;
use adpipe_warehouse::{Counts, report};

use super::batch::{self, overdue_s};
use super::{MonitorError, SILENCE, Sources, archive};

/// Statuses of data tests.
const STATUSES: [Status; 5] = [Status::Pass, Status::Warn, Status::Fail, Status::Error, Status::Skipped];

/// Sets them. What cannot be measured now keeps its value.
pub fn collect(sources: &Sources, metrics: &Metrics, now: Millis) {
    metrics.play(Role::Monitor);
    if let Some(age) = &sources.spool_age {
        metrics.notifications_wait(age().unwrap_or_default().as_secs_f64());
    }
    if sources.pulse.silent_for() > SILENCE {
        return;
    }
    let parts: [(&str, Result<(), MonitorError>); 5] = [
        ("the totals", totals(sources, metrics)),
        ("the archive", archived(sources, metrics, now)),
        ("the DAGs", dags(sources, metrics, now)),
        ("the data tests", tests(sources, metrics)),
        ("the sources", ages(sources, metrics, now)),
    ];
    for (what, outcome) in parts {
        if let Err(error) = outcome {
            tracing::debug!(%error, "{what} cannot be measured now");
        }
    }
}

/// The totals of the product: what the console and `verify` show, too.
fn totals(sources: &Sources, metrics: &Metrics) -> Result<(), MonitorError> {
    let mut rest = sources.memory.totals_rest();
    if !rest.is_over() {
        return Ok(());
    }
    let started = Instant::now();
    let totals = report::totals(sources.warehouse.as_ref())?;
    rest.after(started.elapsed());
    let by_outcome = |counts: Counts| {
        [("valid", counts.valid), ("duplicate", counts.duplicates), ("invalid", counts.invalid())]
    };
    for (outcome, rows) in by_outcome(totals.files) {
        metrics.set_etl_rows(outcome, rows);
    }
    let all = totals.all();
    metrics.warehouse_has(by_outcome(all), all.clicks);
    Ok(())
}

fn archived(sources: &Sources, metrics: &Metrics, now: Millis) -> Result<(), MonitorError> {
    metrics.archive_is(archive::waits_s(sources, now)?, archive::unreadable_hours(sources)?);
    Ok(())
}

fn dags(sources: &Sources, metrics: &Metrics, now: Millis) -> Result<(), MonitorError> {
    for dag in batch::dags(sources, now)? {
        let label = [dag.dag_id.as_str()];
        metrics.dag_failures.with_label_values(&label).set(dag.failures as i64);
        metrics.dag_overdue.with_label_values(&label).set(overdue_s(&dag, now));
        if let Some(at) = dag.last_success {
            metrics.dag_succeeded(&dag.dag_id, at.0 as f64 / 1_000.0);
        }
    }
    Ok(())
}

fn tests(sources: &Sources, metrics: &Metrics) -> Result<(), MonitorError> {
    let mut counts: BTreeMap<&str, i64> = STATUSES.iter().map(|status| (status.name(), 0)).collect();
    for test in batch::tests(sources)? {
        *counts.entry(test.status.name()).or_default() += 1;
    }
    for (status, count) in counts {
        metrics.data_tests.with_label_values(&[status]).set(count);
    }
    Ok(())
}

fn ages(sources: &Sources, metrics: &Metrics, now: Millis) -> Result<(), MonitorError> {
    for source in batch::source_ages(sources, now)? {
        let label = [source.name.as_str()];
        metrics.source_age.with_label_values(&label).set((now.0 - source.newest.0) as f64 / 1_000.0);
        metrics.source_max_age.with_label_values(&label).set(source.max_age_ms as f64 / 1_000.0);
    }
    Ok(())
}
