//! Memory that requests share: taken as it is needed, never waited for, and never all of it by one
//! sender.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::client::Client;

const UNIT_BYTES: usize = 1024;

/// So many bytes for everybody together.
#[derive(Debug, Clone)]
pub struct Budget {
    state: Arc<Mutex<State>>,
    all_units: usize,
}

#[derive(Debug, Default)]
struct State {
    taken: usize,
    by_client: HashMap<Client, usize>,
}

/// Bytes that are given back when this is dropped.
#[derive(Debug)]
pub struct Reservation {
    state: Arc<Mutex<State>>,
    client: Client,
    units: usize,
}

impl Budget {
    /// A budget of so many bytes, none of them taken.
    pub fn new(bytes: usize) -> Budget {
        Budget { state: Arc::default(), all_units: bytes / UNIT_BYTES }
    }

    /// The bytes, or none when others hold them. A request that waited here would hold the part of its
    /// body that has already arrived, and two of them could wait for each other forever. The last
    /// sixteenth is for other clients.
    pub fn reserve(&self, client: Client, bytes: usize) -> Option<Reservation> {
        self.reserve_up_to(client, bytes, self.all_units, self.all_units * 15 / 16)
    }

    /// The same, but leaves an eighth of the budget to small requests, and another sixteenth to
    /// other clients. A few large requests that come slowly must not shut out the many small ones.
    pub fn reserve_for_large(&self, client: Client, bytes: usize) -> Option<Reservation> {
        self.reserve_up_to(client, bytes, self.all_units * 7 / 8, self.all_units * 13 / 16)
    }

    fn reserve_up_to(
        &self,
        client: Client,
        bytes: usize,
        most: usize,
        most_of_client: usize,
    ) -> Option<Reservation> {
        let units = bytes.div_ceil(UNIT_BYTES);
        let mut state = lock(&self.state);
        let of_client = state.by_client.get(&client).copied().unwrap_or(0);
        if state.taken + units > most || of_client + units > most_of_client {
            return None;
        }
        state.taken += units;
        state.by_client.insert(client, of_client + units);
        drop(state);
        Some(Reservation { state: Arc::clone(&self.state), client, units })
    }

    /// Bytes that can never be reserved at once, even if no other client holds any.
    pub fn is_beyond(&self, bytes: usize) -> bool {
        bytes.div_ceil(UNIT_BYTES) > self.all_units * 13 / 16
    }
}

impl Reservation {
    /// Makes this one hold the other's bytes as well; both are of one client and budget.
    pub fn add(&mut self, mut other: Reservation) {
        debug_assert_eq!(self.client, other.client);
        self.units += std::mem::take(&mut other.units);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.units == 0 {
            return;
        }
        let mut state = lock(&self.state);
        state.taken -= self.units;
        if let Some(of_client) = state.by_client.get_mut(&self.client) {
            *of_client -= self.units;
            if *of_client == 0 {
                state.by_client.remove(&self.client);
            }
        }
    }
}

/// Both sums change together, so a panic of another thread leaves nothing half-made behind.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(last: u8) -> Client {
        Client::of(std::net::IpAddr::from([127, 0, 0, last]))
    }

    #[test]
    fn bytes_come_back() {
        let budget = Budget::new(16 << 10);
        let mut held = budget.reserve(client(1), 4_000).unwrap();
        held.add(budget.reserve(client(1), 11 << 10).unwrap());
        assert!(budget.reserve(client(1), 1).is_none());
        assert!(budget.reserve(client(2), 1).is_some());
        drop(held);
        assert!(budget.reserve(client(1), 15 << 10).is_some());
        assert!(lock(&budget.state).by_client.is_empty());
    }

    #[test]
    fn large_ones_leave_something() {
        let budget = Budget::new(64 << 10);
        let held = budget.reserve_for_large(client(1), 52 << 10);
        assert!(held.is_some() && budget.reserve_for_large(client(1), 1).is_none());
        let others = budget.reserve_for_large(client(2), 4 << 10);
        assert!(others.is_some() && budget.reserve_for_large(client(2), 1).is_none());
        assert!(budget.reserve(client(1), 8 << 10).is_some());
    }

    #[test]
    fn one_sender_never_holds_all() {
        let budget = Budget::new(64 << 10);
        let mut held = Vec::new();
        while let Some(more) = budget.reserve(client(1), 1 << 10) {
            held.push(more);
        }
        assert!(budget.reserve(client(2), 4 << 10).is_some());
        assert!(budget.is_beyond(60 << 10) && !budget.is_beyond(50 << 10));
    }
}
