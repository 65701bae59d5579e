//! Whether the warehouse answers, asked on a separate thread ([`crate::processes`]): an attempt to
//! reach a dead server may take long, and nothing else should wait for it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The warehouse's answers. Clones show the same.
#[derive(Clone)]
pub struct Pulse(Arc<Mutex<State>>);

struct State {
    /// Newest answer.
    answered: Instant,
    /// Since when every question was answered.
    answers_since: Option<Instant>,
    answer_time: Duration,
    trouble: Option<String>,
}

impl Pulse {
    /// One that has answered for long: at the start, the back ends were just opened.
    pub fn new() -> Pulse {
        let now = Instant::now();
        let long_ago = now.checked_sub(Duration::from_secs(3_600)).unwrap_or(now);
        Pulse(Arc::new(Mutex::new(State {
            answered: now,
            answers_since: Some(long_ago),
            answer_time: Duration::ZERO,
            trouble: None,
        })))
    }

    fn read<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Time since the warehouse answered.
    pub fn silent_for(&self) -> Duration {
        self.read(|state| state.answered.elapsed())
    }

    /// Time since when it answers without a miss; zero when it does not.
    pub fn answers_for(&self) -> Duration {
        self.read(|state| state.answers_since.map_or(Duration::ZERO, |since| since.elapsed()))
    }

    /// How long the newest answer took.
    pub fn answer_time(&self) -> Duration {
        self.read(|state| state.answer_time)
    }

    /// What went wrong, while it does not answer.
    pub fn trouble(&self) -> Option<String> {
        self.read(|state| state.trouble.clone())
    }

    /// Notes an answer that took so long.
    pub fn answered(&self, took: Duration) {
        self.read(|state| {
            let now = Instant::now();
            // One question that hung is a miss as well.
            if took > Duration::from_secs(5) {
                state.answers_since = None;
            }
            state.answered = now;
            state.answer_time = took;
            state.answers_since.get_or_insert(now);
            state.trouble = None;
        });
    }

    /// Notes that it did not answer.
    pub fn missed(&self, trouble: &str) {
        self.read(|state| {
            state.answers_since = None;
            state.trouble = Some(trouble.to_owned());
        });
    }
}

impl Default for Pulse {
    fn default() -> Pulse {
        Pulse::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_miss_ends_the_answers_and_an_answer_the_silence() {
        let pulse = Pulse::new();
        assert!(pulse.answers_for() > Duration::from_secs(60), "{:?}", pulse.answers_for());
        pulse.missed("gone");
        assert_eq!((pulse.answers_for(), pulse.trouble().as_deref()), (Duration::ZERO, Some("gone")));
        pulse.answered(Duration::from_millis(3));
        assert_eq!((pulse.trouble(), pulse.answer_time()), (None, Duration::from_millis(3)));
        assert!(pulse.answers_for() < Duration::from_secs(60), "{:?}", pulse.answers_for());
    }
}
