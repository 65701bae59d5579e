//! One switch that ends everything, and switches below it that end a part.

use std::future::poll_fn;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Poll, Waker};
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
    /// Of futures that wait for it.
    wakers: Vec<Waker>,
}

impl Switch {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trigger(&self) {
        let (parts, wakers) = {
            let mut state = self.lock();
            state.is_on = true;
            (std::mem::take(&mut state.parts), std::mem::take(&mut state.wakers))
        };
        self.changed.notify_all();
        wakers.into_iter().for_each(Waker::wake);
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

    /// Comes to an end when asked to; for tasks, as [`sleep`](Shutdown::sleep) is for threads.
    pub async fn triggered(&self) {
        poll_fn(|context| {
            let mut state = self.0.lock();
            if state.is_on {
                return Poll::Ready(());
            }
            if !state.wakers.iter().any(|waker| waker.will_wake(context.waker())) {
                state.wakers.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
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
    use std::pin::pin;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::{Context, Wake};

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

    #[test]
    fn a_task_is_woken_once_it_is_on() {
        struct Noted(AtomicU32);
        impl Wake for Noted {
            fn wake(self: Arc<Noted>) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let (whole, noted) = (Shutdown::new(), Arc::new(Noted(AtomicU32::new(0))));
        let (part, waker) = (whole.part(), Waker::from(Arc::clone(&noted)));
        let mut context = Context::from_waker(&waker);
        let mut waiting = pin!(part.triggered());
        assert!(waiting.as_mut().poll(&mut context).is_pending());
        assert!(waiting.as_mut().poll(&mut context).is_pending());
        whole.trigger();
        assert_eq!(noted.0.load(Ordering::Relaxed), 1);
        assert!(waiting.as_mut().poll(&mut context).is_ready());
    }
}
