//! Memory that requests share: taken as it is needed, never waited for.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

const UNIT_BYTES: usize = 1024;

/// So many bytes for everybody together.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    units: Arc<Semaphore>,
    all_units: usize,
}

/// Bytes that are given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Reservation(OwnedSemaphorePermit);

impl Budget {
    pub fn new(bytes: usize) -> Budget {
        let all_units = (bytes / UNIT_BYTES).min(Semaphore::MAX_PERMITS);
        Budget { units: Arc::new(Semaphore::new(all_units)), all_units }
    }

    /// The bytes, or none when others hold them. Whoever waited here would hold the part of its
    /// body that has come already, and two such could wait for each other for good.
    pub fn reserve(&self, bytes: usize) -> Option<Reservation> {
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).ok()?;
        Arc::clone(&self.units).try_acquire_many_owned(units).ok().map(Reservation)
    }

    /// The same, but leaves an eighth of the budget to others. A few large requests that come
    /// slowly must not shut out the many small ones.
    pub fn reserve_for_large(&self, bytes: usize) -> Option<Reservation> {
        let left = self.units.available_permits().checked_sub(bytes.div_ceil(UNIT_BYTES))?;
        (left >= self.all_units / 8).then(|| self.reserve(bytes)).flatten()
    }
}

impl Reservation {
    /// Makes this one hold the other's bytes as well.
    pub fn add(&mut self, other: Reservation) {
        self.0.merge(other.0);
    }
}

#[cfg(test)]
mod tests {
    use super::Budget;

    #[test]
    fn bytes_come_back() {
        let budget = Budget::new(10 << 10);
        let mut held = budget.reserve(4_000).unwrap();
        held.add(budget.reserve(6 << 10).unwrap());
        assert!(budget.reserve(1).is_none());
        drop(held);
        assert!(budget.reserve(10 << 10).is_some());
    }

    #[test]
    fn large_ones_leave_something() {
        let budget = Budget::new(16 << 10);
        let held = budget.reserve_for_large(14 << 10);
        assert!(held.is_some() && budget.reserve_for_large(1).is_none());
        assert!(budget.reserve(2 << 10).is_some());
    }
}
