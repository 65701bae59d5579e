//! How far a long command has come, for display: step by step, so that every part of the work is shown.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What the extent of a step is counted in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unit {
    /// Bytes as they lie on the disk.
    #[default]
    Bytes,
    /// Events.
    Events,
    /// Records.
    Records,
}

/// What is being done, and how much of it is done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Look {
    /// Number of the step, from 1; 0 before the first.
    pub step: u64,
    /// How many steps there are; 0 if it is not known.
    pub steps: u64,
    /// What the step does.
    pub name: String,
    /// What it works on now, a file for instance; empty where that says nothing more.
    pub detail: String,
    /// So much of the step is done …
    pub done: u64,
    /// … of so much; 0 while that is not known.
    pub total: u64,
    /// In what both are counted.
    pub unit: Unit,
    /// Rows parsed by the whole command; 0 where none are.
    pub rows: u64,
}

/// The step, as far as it is not counted.
#[derive(Debug, Default)]
struct Step {
    shown: Look,
    /// Its bytes are rows that are committed when they are read.
    commits: bool,
}

/// Shared with the thread that shows it.
#[derive(Debug, Default)]
pub struct Progress {
    step: Mutex<Step>,
    done: Arc<AtomicU64>,
    parsed: AtomicU64,
    committed: AtomicU64,
}

impl Progress {
    /// Nothing yet.
    pub fn new() -> Progress {
        Progress::default()
    }

    /// Says how many steps there will be.
    pub fn expect_steps(&self, steps: u64) {
        self.change(|step| step.shown.steps = steps);
    }

    /// The next step begins; its extent is not known yet.
    pub fn begin(&self, name: &str) {
        self.change(|step| {
            let Look { step: before, steps, .. } = step.shown;
            let shown = Look { step: before + 1, steps, name: name.to_owned(), ..Look::default() };
            *step = Step { shown, commits: false };
            self.done.store(0, Ordering::Relaxed);
        });
    }

    /// The extent of the step.
    pub fn expect(&self, total: u64, unit: Unit) {
        self.change(|step| (step.shown.total, step.shown.unit) = (total, unit));
    }

    /// The extent of a step that reads files and commits their rows: what is read counts half until
    /// its rows are committed, which can take longer than reading them.
    pub fn expect_files(&self, bytes: u64) {
        self.expect(bytes, Unit::Bytes);
        self.change(|step| step.commits = true);
    }

    /// What the step works on now.
    pub fn detail(&self, detail: &str) {
        self.change(|step| detail.clone_into(&mut step.shown.detail));
    }

    /// So much more of the step is done.
    pub fn add(&self, more: u64) {
        self.done.fetch_add(more, Ordering::Relaxed);
    }

    /// The counter of [`Progress::add`], for a reader that counts its bytes.
    pub fn counter(&self) -> &Arc<AtomicU64> {
        &self.done
    }

    /// So many rows more are parsed.
    pub fn parsed(&self, rows: u64) {
        self.parsed.fetch_add(rows, Ordering::Relaxed);
    }

    /// So many of the parsed rows are committed.
    pub fn committed(&self, rows: u64) {
        self.committed.fetch_add(rows, Ordering::Relaxed);
    }

    /// How far it has come.
    pub fn look(&self) -> Look {
        let step = self.step.lock().unwrap_or_else(PoisonError::into_inner);
        let mut look = step.shown.clone();
        look.done = self.done.load(Ordering::Relaxed);
        look.rows = self.parsed.load(Ordering::Relaxed);
        if step.commits {
            look.done = half_until_committed(look.done, look.rows, self.committed.load(Ordering::Relaxed));
        }
        look
    }

    fn change(&self, change: impl FnOnce(&mut Step)) {
        change(&mut self.step.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Bytes that are done when their rows are not all committed.
fn half_until_committed(bytes: u64, parsed: u64, committed: u64) -> u64 {
    if parsed == 0 {
        return bytes;
    }
    let share = (parsed + committed.min(parsed)) as f64 / (2 * parsed) as f64;
    (bytes as f64 * share) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_begins_at_nothing_and_keeps_the_rows() {
        let progress = Progress::new();
        progress.expect_steps(2);
        progress.begin("raw files");
        progress.expect_files(200);
        progress.detail("a.csv");
        progress.add(100);
        progress.parsed(10);
        let look = progress.look();
        assert_eq!((look.step, look.steps, look.done, look.total), (1, 2, 50, 200), "nothing is committed");
        progress.committed(10);
        assert_eq!(progress.look().done, 100);
        progress.begin("hot events");
        let look = progress.look();
        assert_eq!((look.step, look.done, look.total, look.rows), (2, 0, 0, 10));
        assert_eq!((look.name.as_str(), look.detail.as_str()), ("hot events", ""));
    }
}
