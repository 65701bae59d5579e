//! One switch that ends everything, and switches below it that end a part.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

/// Handed to every thread; clones share the switch. Once on, it stays on.
#[derive(Debug, Clone, Default)]
pub struct Shutdown(Arc<Switch>);

#[derive(Debug, Default)]
struct Switch {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_on: bool,
    /// Switched on with this one.
    parts: Vec<Weak<Switch>>,
}

impl Switch {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trigger(&self) {
        let parts = {
            let mut state = self.lock();
            state.is_on = true;
            std::mem::take(&mut state.parts)
        };
        self.changed.notify_all();
        parts.iter().filter_map(Weak::upgrade).for_each(|part| part.trigger());
    }
}

impl Shutdown {
    /// A switch that is off.
    pub fn new() -> Shutdown {
        Shutdown::default()
    }

    /// A switch for a part: it is turned on with this one, and may be turned on alone.
    pub fn part(&self) -> Shutdown {
        let part = Shutdown::new();
        let mut state = self.0.lock();
        if state.is_on {
            part.0.lock().is_on = true;
        } else {
            state.parts.retain(|part| part.strong_count() > 0);
            state.parts.push(Arc::downgrade(&part.0));
        }
        drop(state);
        part
    }

    /// Asks everybody to end.
    pub fn trigger(&self) {
        self.0.trigger();
    }

    /// True once asked to end.
    pub fn is_triggered(&self) -> bool {
        self.0.lock().is_on
    }

    /// Sleeps, but wakes up at once when asked to end. True when it was.
    pub fn sleep(&self, duration: Duration) -> bool {
        let state = self.0.lock();
        let (state, _) = self
            .0
            .changed
            .wait_timeout_while(state, duration, |state| !state.is_on)
            .unwrap_or_else(PoisonError::into_inner);
        state.is_on
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_ends_alone_or_with_the_whole() {
        let whole = Shutdown::new();
        let (first, second) = (whole.part(), whole.part());
        first.trigger();
        assert!(first.is_triggered() && !second.is_triggered() && !whole.is_triggered());
        let sleeper = second.clone();
        let asleep = std::thread::spawn(move || sleeper.sleep(Duration::from_secs(60)));
        whole.trigger();
        assert!(asleep.join().unwrap());
        assert!(second.is_triggered() && whole.part().is_triggered());
    }
}
