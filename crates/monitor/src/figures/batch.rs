//! DAGs, data tests and sources.

use std::sync::Arc;
use std::sync::mpsc::channel;
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

/// A measurement that takes longer continues in the background; until then, the previous result counts.
const FRESHNESS_TIMEOUT: Duration = Duration::from_secs(1);

/// Source ages that were found, when, and how long that took.
#[derive(Debug, Default)]
pub(crate) struct KnownAges {
    found: Option<(Instant, Duration, Vec<SourceAge>)>,
    is_looking: bool,
}

impl KnownAges {
    fn ages(&self) -> Option<Vec<SourceAge>> {
        self.found.as_ref().map(|(_, _, ages)| ages.clone())
    }

    fn is_due(&self) -> bool {
        let is_fresh = |(at, took, _): &(Instant, Duration, _)| at.elapsed() < *took * FRESHNESS_SHARE;
        !self.is_looking && !self.found.as_ref().is_some_and(is_fresh)
    }
}

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
    Ok(statuses(sources.warehouse.as_ref(), sources.project().as_deref())?)
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

/// The sources that have rows and whose age can be an error.
pub(super) fn source_ages(sources: &Sources, now: Millis) -> Result<Vec<SourceAge>, MonitorError> {
    let Some(project) = sources.project() else { return Ok(Vec::new()) };
    let memory = Arc::clone(&sources.memory);
    let (ages, is_due) = {
        let mut known = memory.ages();
        let is_due = known.is_due();
        known.is_looking |= is_due;
        (known.ages(), is_due)
    };
    if !is_due {
        return ages.ok_or(MonitorError::Later);
    }
    let (warehouse, project) = (Arc::clone(&sources.warehouse), project);
    let (sender, done) = channel();
    let looked = Arc::clone(&memory);
    let look = move || {
        let started = Instant::now();
        let found = freshness(warehouse.as_ref(), &project, now);
        // A table that cannot be read is not one without rows.
        let is_whole = found.iter().all(|source| source.message.is_none());
        let ages = is_whole.then(|| found.iter().filter_map(age_of).collect::<Vec<_>>());
        let mut known = looked.ages();
        known.is_looking = false;
        if let Some(ages) = &ages {
            known.found = Some((Instant::now(), started.elapsed(), ages.clone()));
        }
        // The caller may no longer wait.
        let _ = sender.send(ages);
    };
    if let Err(error) = std::thread::Builder::new().name("freshness".to_owned()).spawn(look) {
        memory.ages().is_looking = false;
        return Err(error.into());
    }
    done.recv_timeout(FRESHNESS_TIMEOUT).ok().flatten().or(ages).ok_or(MonitorError::Later)
}

fn age_of(source: &SourceFreshness) -> Option<SourceAge> {
    // Where old data is only worth a warning, old data may be what one works on.
    let error_after_ms = source.error_after_ms?;
    let max_age_ms = source.warn_after_ms.unwrap_or(error_after_ms);
    Some(SourceAge { name: source.name.clone(), newest: source.newest?, max_age_ms })
}

pub(super) fn source_overdue(sources: &Sources, now: Millis) -> Result<Vec<Reading>, MonitorError> {
    let reading = |source: &SourceAge| {
        let age_ms = now.0 - source.newest.0;
        let seconds = (age_ms - source.max_age_ms) as f64 / 1_000.0;
        labelled("source", &source.name, seconds, json!({ "newest": source.newest.to_string() }))
    };
    Ok(source_ages(sources, now)?.iter().map(reading).collect())
}
