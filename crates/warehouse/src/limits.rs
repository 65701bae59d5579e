//! What a statement of a person may take.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::WarehouseError;

/// What a statement of a person may take before it is ended.
#[derive(Clone)]
pub struct QueryLimits {
    /// Longest time that the database may work on it. Time that the reader of the rows takes does not
    /// count.
    pub time: Option<Duration>,
    /// Bytes of memory, of which one value may have a quarter.
    pub memory: Option<u64>,
    /// True if the answer is no longer needed.
    pub is_unwanted: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl QueryLimits {
    /// Bytes that one row may have.
    pub(crate) fn row_bytes(&self) -> Option<u64> {
        self.memory.map(|memory| memory / 4)
    }

    pub(crate) fn too_slow(&self) -> WarehouseError {
        let limit = self.time.unwrap_or_default();
        WarehouseError::Stopped(format!("the statement took longer than {} s", limit.as_secs_f64()))
    }

    pub(crate) fn too_large(&self, what: &str) -> WarehouseError {
        let mib = self.memory.unwrap_or_default() as f64 / f64::from(1 << 20);
        WarehouseError::Stopped(format!("{what}: it may take {mib:.0} MiB of memory"))
    }

    pub(crate) fn unwanted() -> WarehouseError {
        WarehouseError::Stopped("interrupted".to_owned())
    }
}

/// Measures what a statement has taken so far. Clones share it.
#[derive(Clone)]
pub(crate) struct Stopwatch {
    limits: QueryLimits,
    started: Instant,
    /// Time that the reader of the rows has taken.
    reading_ns: Arc<AtomicU64>,
}

impl Stopwatch {
    pub fn start(limits: &QueryLimits) -> Stopwatch {
        Stopwatch { limits: limits.clone(), started: Instant::now(), reading_ns: Arc::default() }
    }

    /// Runs what takes a row; its time does not count.
    pub fn pause<T>(&self, reading: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let result = reading();
        self.reading_ns.fetch_add(began.elapsed().as_nanos() as u64, Ordering::Relaxed);
        result
    }

    pub fn is_over_time(&self) -> bool {
        let reading = Duration::from_nanos(self.reading_ns.load(Ordering::Relaxed));
        self.limits.time.is_some_and(|limit| self.started.elapsed().saturating_sub(reading) > limit)
    }

    pub fn is_unwanted(&self) -> bool {
        (self.limits.is_unwanted)()
    }

    /// Why the statement must end now, if it must.
    pub fn verdict(&self) -> Result<(), WarehouseError> {
        match (self.is_unwanted(), self.is_over_time()) {
            (true, _) => Err(QueryLimits::unwanted()),
            (_, true) => Err(self.limits.too_slow()),
            _ => Ok(()),
        }
    }
}
