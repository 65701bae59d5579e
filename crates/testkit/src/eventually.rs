//! Waiting for a condition instead of for a time.

use std::time::{Duration, Instant};

/// Far longer than anything takes on a loaded machine: it only keeps a failed test from hanging.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// Waits until something holds.
///
/// # Panics
/// When it does not within [`PATIENCE`].
#[track_caller]
pub fn eventually(what: &str, holds: impl FnMut() -> bool) {
    eventually_within(what, PATIENCE, holds);
}

/// [`eventually`] with a limit of its own, where the test says how long it may take.
///
/// # Panics
/// When it does not hold in time.
#[track_caller]
pub fn eventually_within(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < limit, "{what}: not within {limit:?}");
        std::thread::sleep(PAUSE);
    }
}

/// Waits until there is something, and gives it.
///
/// # Panics
/// When there is nothing within [`PATIENCE`].
#[track_caller]
pub fn eventually_some<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let mut found = None;
    eventually(what, || {
        found = look();
        found.is_some()
    });
    found.expect("the wait ended with something")
}

/// Waits until a value is the expected one; a failure shows the last one that was seen.
///
/// # Panics
/// When it is not within [`PATIENCE`].
#[track_caller]
pub fn eventually_eq<T: PartialEq + std::fmt::Debug>(what: &str, expected: &T, mut look: impl FnMut() -> T) {
    let started = Instant::now();
    loop {
        let found = look();
        if found == *expected {
            return;
        }
        assert!(
            started.elapsed() < PATIENCE,
            "{what}: not within {PATIENCE:?}\nexpected: {expected:?}\n   found: {found:?}"
        );
        std::thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_awaited() {
        let mut looks = 0..;
        assert_eq!(eventually_some("the third look", || looks.next().filter(|look| *look == 2)), 2);
        eventually_eq("the fifth look", &Some(4), || looks.next());
    }

    #[test]
    #[should_panic(expected = "the end of time: not within 30ms")]
    fn not_for_ever() {
        eventually_within("the end of time", Duration::from_millis(30), || false);
    }
}
