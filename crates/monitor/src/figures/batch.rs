//! DAGs, data tests and sources.

use std::time::{Duration, Instant};

use adpipe_event::Millis;
use adpipe_schedule::health::{DagHealth, health};
use adpipe_transform::history::{TestStatus, statuses};
use adpipe_transform::{SourceFreshness, Status, freshness};
use serde_json::{Value as Json, json};

use super::{MonitorError, Sources, labelled, single};
use crate::signal::Reading;

/// Names that a context has.
const NAMED: usize = 10;

/// A look at the sources reads whole tables: it may take a hundredth of the time, no more.
const FRESHNESS_SHARE: u32 = 100;

/// Source ages that were found, when, and how long that took.
pub(crate) type KnownAges = Option<(Instant, Duration, Vec<SourceAge>)>;

/// How old a source is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SourceAge {
    /// `realtime.events`.
    pub name: String,
    /// When it got its newest row.
    pub newest: Millis,
    /// How old that may be, ms.
    pub max_age_ms: i64,
}

pub(super) fn dags(sources: &Sources, now: Millis) -> Result<Vec<DagHealth>, MonitorError> {
    Ok(health(&sources.warehouse, &sources.dags, now)?)
}

pub(super) fn dag_failures(sources: &Sources, now: Millis) -> Result<Vec<Reading>, MonitorError> {
    let reading = |dag: &DagHealth| {
        let context = match &dag.failed {
            Some((run, message)) => json!({ "run": run, "message": message }),
            None => Json::Null,
        };
        labelled("dag", &dag.dag_id, dag.failures as f64, context)
    };
    Ok(dags(sources, now)?.iter().map(reading).collect())
}

/// Seconds since a run should have started.
pub(super) fn overdue_s(dag: &DagHealth, now: Millis) -> f64 {
    dag.overdue_since.map_or(0.0, |since| (now.0 - since.0).max(0) as f64 / 1_000.0)
}

pub(super) fn dag_overdue(sources: &Sources, now: Millis) -> Result<Vec<Reading>, MonitorError> {
    let reading = |dag: &DagHealth| {
        let context = match dag.overdue_since {
            Some(since) => json!({ "since": since.to_string() }),
            None => Json::Null,
        };
        labelled("dag", &dag.dag_id, overdue_s(dag, now), context)
    };
    Ok(dags(sources, now)?.iter().map(reading).collect())
}

pub(super) fn tests(sources: &Sources) -> Result<Vec<TestStatus>, MonitorError> {
    Ok(statuses(sources.warehouse.as_ref(), sources.project.as_deref())?)
}

pub(super) fn failing_data_tests(sources: &Sources) -> Result<Vec<Reading>, MonitorError> {
    let tests = tests(sources)?;
    if tests.is_empty() {
        return Ok(Vec::new());
    }
    let is_failing = |test: &&TestStatus| matches!(test.status, Status::Fail | Status::Error);
    let failing: Vec<&str> = tests.iter().filter(is_failing).map(|test| test.name.as_str()).collect();
    let context = match failing.as_slice() {
        [] => Json::Null,
        names => json!({ "tests": names.iter().take(NAMED).collect::<Vec<_>>() }),
    };
    Ok(single(failing.len() as f64, context))
}

/// The sources that have rows and of which something is expected.
pub(super) fn source_ages(sources: &Sources, now: Millis) -> Vec<SourceAge> {
    let Some(project) = &sources.project else { return Vec::new() };
    sources.memory.ages(|known| {
        if let Some((at, took, ages)) = known
            && at.elapsed() < *took * FRESHNESS_SHARE
        {
            return ages.clone();
        }
        let started = Instant::now();
        let found = freshness(sources.warehouse.as_ref(), project, now);
        let age = |source: &SourceFreshness| {
            let max_age_ms = source.warn_after_ms.or(source.error_after_ms)?;
            Some(SourceAge { name: source.name.clone(), newest: source.newest?, max_age_ms })
        };
        let ages: Vec<SourceAge> = found.iter().filter_map(age).collect();
        *known = Some((Instant::now(), started.elapsed(), ages.clone()));
        ages
    })
}

pub(super) fn source_overdue(sources: &Sources, now: Millis) -> Result<Vec<Reading>, MonitorError> {
    let reading = |source: &SourceAge| {
        let age_ms = now.0 - source.newest.0;
        let seconds = (age_ms - source.max_age_ms) as f64 / 1_000.0;
        labelled("source", &source.name, seconds, json!({ "newest": source.newest.to_string() }))
    };
    Ok(source_ages(sources, now).iter().map(reading).collect())
}
