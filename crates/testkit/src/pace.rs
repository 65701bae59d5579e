//! How long something may take on a machine that is busy with other things.

use std::fs::File;
use std::io::Write;
use std::process::Command;
use std::time::{Duration, Instant};

/// What is added for a busy machine, in [`steps`](step). An idle one takes some milliseconds for a step.
const STEPS: u32 = 100;

/// Asserts that something took no longer than is due to it. A machine that is slow just now gets more
/// time: as long as a hundred small steps take there, each a process and a file on the disk.
///
/// # Panics
/// When it took longer.
#[track_caller]
pub fn assert_in_time(what: &str, took: Duration, due: Duration) {
    if took > due {
        let allowed = due + allowance();
        assert!(took < allowed, "{what} took {took:?}: {due:?} are due to it, and {allowed:?} allowed now");
    }
}

/// A step takes at least so long here: what kept the machine busy may be over when it is measured.
const LEAST_STEP: Duration = Duration::from_millis(20);

/// What a busy machine adds to any time.
pub fn allowance() -> Duration {
    STEPS * (0..3).map(|_| step()).max().unwrap_or_default().max(LEAST_STEP)
}

/// Starts a process and syncs a file; gives how long that took.
fn step() -> Duration {
    let started = Instant::now();
    let status = Command::new("sh").args(["-c", ":"]).status();
    assert!(status.expect("there is a shell").success());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut file = File::create(folder.path().join("step")).expect("a new file");
    file.write_all(b"step").and_then(|()| file.sync_all()).expect("the disk takes it");
    started.elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_machine_gets_more_time() {
        let took = Duration::from_millis(1_001);
        assert_in_time("it", took, Duration::from_secs(1));
    }

    #[test]
    #[should_panic(expected = "it took 3600s: 1s are due to it")]
    fn no_machine_is_that_busy() {
        assert_in_time("it", Duration::from_secs(3_600), Duration::from_secs(1));
    }
}
