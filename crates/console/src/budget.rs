//! Memory that requests share: taken as it is needed, never waited for.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

const UNIT_BYTES: usize = 1024;

/// So many bytes for everybody together.
#[derive(Debug, Clone)]
pub(crate) struct Budget(Arc<Semaphore>);

/// Bytes that are given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Reservation(OwnedSemaphorePermit);

impl Budget {
    pub fn new(bytes: usize) -> Budget {
        Budget(Arc::new(Semaphore::new((bytes / UNIT_BYTES).min(Semaphore::MAX_PERMITS))))
    }

    /// The bytes, or none when others hold them. Whoever waited here would hold the part of its
    /// body that has come already, and two such could wait for each other for good.
    pub fn reserve(&self, bytes: usize) -> Option<Reservation> {
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).ok()?;
        Arc::clone(&self.0).try_acquire_many_owned(units).ok().map(Reservation)
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
}
