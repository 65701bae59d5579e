//! How far the processor is behind: every way in asks for it, few measure it.

use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use adpipe_log::LogError;

/// A measurement is used again for this long.
const FRESH: Duration = Duration::from_millis(100);

/// What waits to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lag {
    /// Records that wait for the processor.
    pub records: u64,
    /// Errors that wait for the dead-letter queue; 0 if they are not measured.
    pub errors: u64,
}

impl Lag {
    /// Records and errors.
    pub fn all(self) -> u64 {
        self.records.saturating_add(self.errors)
    }
}

/// Why it is not known how much waits.
#[derive(Debug, thiserror::Error)]
pub enum LagError {
    /// The log does not answer, so it takes nothing either.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The store does not answer; the log may accept more.
    #[error(transparent)]
    Stores(Box<dyn Error + Send + Sync>),
}

/// Measures the lag, and remembers it for a moment.
pub struct LagGauge {
    measure: Box<dyn Fn() -> Result<Lag, LagError> + Send + Sync>,
    known: Arc<Mutex<MeasuredLag>>,
}

/// What is known without measuring.
#[derive(Debug, Default)]
struct MeasuredLag {
    newest: Option<(Instant, Lag)>,
    /// Records that were admitted and are not durable yet.
    admitted: u64,
}

/// Records on their way into the log: they count as lag from the moment they are admitted, or many
/// bodies would be taken on the strength of one measurement.
#[derive(Debug)]
pub(crate) struct Admitted {
    known: Arc<Mutex<MeasuredLag>>,
    records: u64,
}

impl Drop for Admitted {
    /// They are in the log, or never will be; the next measurement shows which.
    fn drop(&mut self) {
        let mut known = lock(&self.known);
        known.admitted -= self.records;
        if let Some((_, lag)) = &mut known.newest {
            lag.records += self.records;
        }
    }
}

impl LagGauge {
    /// A gauge that measures so. `measure` may wait for the log and the warehouse.
    pub fn new(measure: impl Fn() -> Result<Lag, LagError> + Send + Sync + 'static) -> LagGauge {
        LagGauge { measure: Box::new(measure), known: Arc::default() }
    }

    /// What waits, at most 100 ms old. Blocking.
    ///
    /// # Errors
    /// If it cannot be measured.
    pub fn lag(&self) -> Result<Lag, LagError> {
        self.remembered().map_or_else(|| self.measure(), Ok)
    }

    /// What waits, when that was measured in the last 100 ms.
    pub(crate) fn remembered(&self) -> Option<Lag> {
        let (measured_at, lag) = lock(&self.known).newest?;
        (measured_at.elapsed() < FRESH).then_some(lag)
    }

    /// What waits now. Blocking.
    pub(crate) fn measure(&self) -> Result<Lag, LagError> {
        let measured = (self.measure)();
        lock(&self.known).newest = measured.as_ref().ok().map(|lag| (Instant::now(), *lag));
        measured
    }

    /// Lets the records of a body in, unless more than `most` wait already, or a quarter more would
    /// wait with them; one body always fits when nothing waits. Gives what waits when it does not.
    pub(crate) fn admit(&self, records: u64, most: u64) -> Result<Admitted, u64> {
        let mut known = lock(&self.known);
        // While it is not known how much waits, the log accepts everything.
        if let Some((_, lag)) = known.newest {
            let waiting = lag.all().saturating_add(known.admitted);
            let fits = waiting <= most && waiting.saturating_add(records) <= most.saturating_add(most / 4);
            if waiting > 0 && !fits {
                return Err(waiting);
            }
        }
        known.admitted += records;
        Ok(Admitted { known: Arc::clone(&self.known), records })
    }
}

/// Every change is one addition, so a panic leaves nothing half-made behind.
fn lock(known: &Mutex<MeasuredLag>) -> MutexGuard<'_, MeasuredLag> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// A gauge of a lag that grows by ten at each measurement.
    fn growing() -> (LagGauge, Arc<AtomicU64>) {
        let measured = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&measured);
        let measure =
            move || Ok(Lag { records: 10 * (1 + counter.fetch_add(1, Ordering::Relaxed)), errors: 1 });
        (LagGauge::new(measure), measured)
    }

    #[test]
    fn many_who_ask_are_one_measurement() {
        let (gauge, measured) = growing();
        assert_eq!(gauge.remembered(), None);
        let started = Instant::now();
        let first = gauge.lag().unwrap();
        assert_eq!((first.records, first.all()), (10, 11));
        let again = gauge.lag().unwrap();
        if started.elapsed() < FRESH {
            assert_eq!((again, measured.load(Ordering::Relaxed)), (first, 1));
        }
        assert!(gauge.measure().unwrap().records > first.records);
    }

    #[test]
    fn what_is_on_its_way_counts_as_waiting() {
        let (gauge, _) = growing();
        gauge.lag().unwrap();
        assert!(gauge.admit(1_000, 5).is_err());
        let held = gauge.admit(100, 100).unwrap();
        assert_eq!(gauge.admit(1, 100).err(), Some(111));
        drop(held);
        // Durable now, as far as anybody knows.
        assert_eq!(gauge.admit(1, 100).err(), Some(111));
    }
}
