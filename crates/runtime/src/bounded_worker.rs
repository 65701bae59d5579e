//! Work that may hang, done by a separate thread and waited for only so long.
//!
//! A server that is paused keeps its connections and answers nothing: a query waits as long as it does.
//! The watcher must not wait with it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel, sync_channel};
use std::time::Duration;

type Work<S> = Box<dyn FnOnce(&mut S) + Send>;

/// A thread with a state `S`, which only it touches.
pub struct BoundedWorker<S> {
    work: Sender<Work<S>>,
    /// Of work that was not waited for to its end.
    unfinished: Option<Receiver<()>>,
}

impl<S: Send + 'static> BoundedWorker<S> {
    /// Starts the thread, which ends when this is dropped and its work is done.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(name: &str, mut state: S) -> std::io::Result<BoundedWorker<S>> {
        let (work, received) = channel::<Work<S>>();
        let run = move || {
            let name = std::thread::current().name().unwrap_or_default().to_owned();
            for work in received {
                if catch_unwind(AssertUnwindSafe(|| work(&mut state))).is_err() {
                    tracing::error!(thread = name, "a part of the work panicked; please report this");
                }
            }
        };
        std::thread::Builder::new().name(name.to_owned()).spawn(run)?;
        Ok(BoundedWorker { work, unfinished: None })
    }

    /// Has the thread do something. None when it did not end in time, or earlier work has not ended
    /// yet and this was not begun.
    pub fn ask<T: Send + 'static>(
        &mut self,
        patience: Duration,
        work: impl FnOnce(&mut S) -> T + Send + 'static,
    ) -> Option<T> {
        if self.unfinished.as_ref().is_some_and(|end| end.try_recv() == Err(TryRecvError::Empty)) {
            return None;
        }
        self.unfinished = None;
        let (answer, answered) = sync_channel(1);
        let (end, ended) = sync_channel(1);
        let answered_work = move |state: &mut S| {
            // The caller may no longer wait.
            let _ = answer.send(work(state));
            let _ = end.send(());
        };
        self.work.send(Box::new(answered_work)).ok()?;
        match answered.recv_timeout(patience) {
            Ok(answer) => Some(answer),
            Err(RecvTimeoutError::Timeout) => {
                self.unfinished = Some(ended);
                None
            }
            Err(RecvTimeoutError::Disconnected) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn what_hangs_is_not_waited_for_and_not_piled_up() {
        let mut worker = BoundedWorker::start("test", 0_u32).unwrap();
        let (release, released) = channel::<()>();
        assert_eq!(worker.ask(Duration::ZERO, move |_| released.recv().is_ok()), None);
        // Still hanging: nothing else is begun.
        assert_eq!(worker.ask(Duration::ZERO, |count| *count += 1), None);
        release.send(()).unwrap();
        let count = loop {
            if let Some(count) = worker.ask(LONG, |count| *count) {
                break count;
            }
            std::thread::yield_now();
        };
        assert_eq!(count, 0);
    }

    #[test]
    fn a_panic_is_not_the_end() {
        let mut worker = BoundedWorker::start("test", 7).unwrap();
        assert_eq!(worker.ask::<()>(LONG, |_| panic!("as this test wants it")), None);
        assert_eq!(worker.ask(LONG, |state| *state), Some(7));
    }
}
