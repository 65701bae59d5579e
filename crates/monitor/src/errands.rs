//! Work that may hang, done by a thread of its own and waited for only so long.
//!
//! A server that is paused keeps its connections and answers nothing: a query waits as long as it
//! does. Who watches must not wait with it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel, sync_channel};
use std::time::Duration;

type Errand<D> = Box<dyn FnOnce(&mut D) + Send>;

/// A thread with a desk `D`, which only it touches.
pub(crate) struct Errands<D> {
    errands: Sender<Errand<D>>,
    /// Of an errand that was not waited for to its end.
    unfinished: Option<Receiver<()>>,
}

impl<D: Send + 'static> Errands<D> {
    /// Starts the thread, which ends when this is dropped and its errand is done.
    pub fn start(name: &str, mut desk: D) -> std::io::Result<Errands<D>> {
        let (errands, received) = channel::<Errand<D>>();
        let work = move || {
            for errand in received {
                if catch_unwind(AssertUnwindSafe(|| errand(&mut desk))).is_err() {
                    tracing::error!("a part of the monitor panicked; please report this");
                }
            }
        };
        std::thread::Builder::new().name(name.to_owned()).spawn(work)?;
        Ok(Errands { errands, unfinished: None })
    }

    /// Has the thread do something. None when it did not end in time, or an earlier errand has not
    /// ended yet and this one was not begun.
    pub fn ask<T: Send + 'static>(
        &mut self,
        patience: Duration,
        work: impl FnOnce(&mut D) -> T + Send + 'static,
    ) -> Option<T> {
        if self.unfinished.as_ref().is_some_and(|end| end.try_recv() == Err(TryRecvError::Empty)) {
            return None;
        }
        self.unfinished = None;
        let (answer, answered) = sync_channel(1);
        let (end, ended) = sync_channel(1);
        let errand = move |desk: &mut D| {
            // Nobody may be waiting any more.
            let _ = answer.send(work(desk));
            let _ = end.send(());
        };
        self.errands.send(Box::new(errand)).ok()?;
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
        let mut errands = Errands::start("test", 0_u32).unwrap();
        let (release, released) = channel::<()>();
        assert_eq!(errands.ask(Duration::ZERO, move |_| released.recv().is_ok()), None);
        // Still hanging: nothing else is begun.
        assert_eq!(errands.ask(Duration::ZERO, |count| *count += 1), None);
        release.send(()).unwrap();
        let count = loop {
            if let Some(count) = errands.ask(LONG, |count| *count) {
                break count;
            }
            std::thread::yield_now();
        };
        assert_eq!(count, 0);
    }

    #[test]
    fn a_panic_is_not_the_end() {
        let mut errands = Errands::start("test", 7).unwrap();
        assert_eq!(errands.ask::<()>(LONG, |_| panic!("as this test wants it")), None);
        assert_eq!(errands.ask(LONG, |desk| *desk), Some(7));
    }
}
