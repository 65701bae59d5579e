//! A bounded pool of connections, the same for every database.
//!
//! A caller takes a [`Loan`], the right to use one connection; with it, it reuses an idle
//! connection or opens its own, and keeps that for the next caller when it is sound.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How many connections a pool has, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct PoolLimits {
    /// Connections open at the same time.
    pub most: usize,
    /// How long a caller waits for one.
    pub patience: Duration,
    /// A connection that was not used for this long is closed.
    pub idle: Duration,
}

/// What readers of one database share: the console's requests and the roles of a process.
pub const READERS: PoolLimits =
    PoolLimits { most: 8, patience: Duration::from_secs(5), idle: Duration::from_secs(30) };

/// Views of one moment. Each has its own connection while it is used.
pub const SNAPSHOTS: PoolLimits = PoolLimits { most: 4, ..READERS };

/// Every connection was in use for as long as the caller was ready to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("busy: all {most} connections were in use for {} s", patience.as_secs())]
pub struct PoolBusy {
    /// Connections of the pool.
    pub most: usize,
    /// How long the caller waited.
    pub patience: Duration,
}

impl PoolBusy {
    /// What a person can do, as an imperative without a full stop.
    pub const ADVICE: &'static str = "try again shortly, or ask for less at once";
}

struct State<T> {
    /// The one used last comes last.
    idle: Vec<(T, Instant)>,
    taken: usize,
}

/// Connections that are opened when they are needed and used again.
pub struct Pool<T> {
    limits: PoolLimits,
    state: Mutex<State<T>>,
    freed: Condvar,
}

impl<T> Pool<T> {
    /// An empty pool.
    pub fn new(limits: PoolLimits) -> Pool<T> {
        let state = State { idle: Vec::new(), taken: 0 };
        Pool { limits, state: Mutex::new(state), freed: Condvar::new() }
    }

    /// The right to use one connection.
    ///
    /// # Errors
    /// [`PoolBusy`] when none came free in time.
    pub fn take(&self) -> Result<Loan<'_, T>, PoolBusy> {
        let PoolLimits { most, patience, .. } = self.limits;
        let (mut state, waited) = self
            .freed
            .wait_timeout_while(self.lock(), patience, |state| state.taken >= most)
            .unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            return Err(PoolBusy { most, patience });
        }
        state.taken += 1;
        let expired = self.expired(&mut state);
        // Closing takes time: not while others wait for the lock.
        drop(state);
        drop(expired);
        Ok(Loan { pool: self })
    }

    /// Takes out what is idle, for callers that must choose the thread on which it is closed.
    pub fn take_idle(&self) -> Vec<T> {
        std::mem::take(&mut self.lock().idle).into_iter().map(|(connection, _)| connection).collect()
    }

    fn expired(&self, state: &mut State<T>) -> Vec<(T, Instant)> {
        let fresh = state.idle.iter().position(|(_, since)| since.elapsed() < self.limits.idle);
        state.idle.drain(..fresh.unwrap_or(state.idle.len())).collect()
    }

    /// Every update is a single push, pop or addition, so a panic leaves nothing half-made behind.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to use one connection of a pool, until it is dropped.
pub struct Loan<'p, T> {
    pool: &'p Pool<T>,
}

impl<T> Loan<'_, T> {
    /// The idle connection that was used last, and for how long it has been idle.
    pub fn reuse(&self) -> Option<(T, Duration)> {
        self.pool.lock().idle.pop().map(|(connection, since)| (connection, since.elapsed()))
    }

    /// Leaves a sound connection to the next caller.
    pub fn keep(self, connection: T) {
        let mut state = self.pool.lock();
        state.idle.push((connection, Instant::now()));
        let expired = self.pool.expired(&mut state);
        drop(state);
        drop(expired);
    }
}

impl<T> Drop for Loan<'_, T> {
    fn drop(&mut self) {
        self.pool.lock().taken -= 1;
        self.pool.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const LIMITS: PoolLimits =
        PoolLimits { most: 3, patience: Duration::from_millis(50), idle: Duration::from_secs(60) };

    #[test]
    fn a_crowd_shares_a_few_connections() {
        let pool = Pool::new(PoolLimits { patience: Duration::from_secs(60), ..LIMITS });
        let opened = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..100 {
                scope.spawn(|| {
                    let loan = pool.take().unwrap();
                    let connection = match loan.reuse() {
                        Some((connection, _)) => connection,
                        None => opened.fetch_add(1, Ordering::Relaxed),
                    };
                    std::thread::yield_now();
                    loan.keep(connection);
                });
            }
        });
        assert!(opened.into_inner() <= 3);
        assert!(pool.take_idle().len() <= 3);
    }

    #[test]
    fn a_caller_waits_only_for_so_long() {
        let pool: Pool<()> = Pool::new(LIMITS);
        let loans: Vec<_> = (0..3).map(|_| pool.take().unwrap()).collect();
        let error = pool.take().err().unwrap();
        assert_eq!(error, PoolBusy { most: 3, patience: LIMITS.patience });
        drop(loans);
        assert!(pool.take().is_ok());
    }

    #[test]
    fn idle_connections_are_closed_after_a_while() {
        let pool = Pool::new(PoolLimits { idle: Duration::ZERO, ..LIMITS });
        pool.take().unwrap().keep("connection");
        assert!(pool.take().unwrap().reuse().is_none());
    }
}
