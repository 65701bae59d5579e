//! Waits for the queue. The process that waits does the work itself as long as no other process does.

use std::time::{Duration, Instant};

use adpipe_dlq::Dlq;
use adpipe_runtime::Shutdown;

use crate::services::Services;

const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What a look at the queue has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// There is nothing to wait for any more.
    Over,
    /// Not yet; the number changes when something has come.
    Waiting(u64),
}

/// How waiting came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// As wished.
    Over,
    /// By Ctrl-C or SIGTERM.
    Interrupted,
    /// Nothing came within the time limit.
    GaveUp,
}

/// Waits until it is over, until asked to end, or until nothing new has come for `patience`.
pub fn until(
    services: &Services,
    dlq: &Dlq,
    shutdown: &Shutdown,
    patience: Duration,
    mut look: impl FnMut() -> anyhow::Result<Look>,
) -> anyhow::Result<Ended> {
    let stop = Shutdown::new();
    let keeps_queue = services.take_vacant_dlq_role()?;
    let counts = services.take_vacant_stream_role()?;
    std::thread::scope(|scope| {
        let queue = keeps_queue.is_some().then(|| scope.spawn(|| adpipe_dlq::role::run(dlq, &stop)));
        let stream = counts.is_some().then(|| scope.spawn(|| services.run_stream(&stop)));
        let mut newest = (None, Instant::now());
        let outcome = loop {
            match look() {
                Ok(Look::Over) => break Ok(Ended::Over),
                Ok(Look::Waiting(_)) if shutdown.is_triggered() || stop.is_triggered() => {
                    break Ok(Ended::Interrupted);
                }
                Ok(Look::Waiting(far)) if newest.0 != Some(far) => newest = (Some(far), Instant::now()),
                Ok(Look::Waiting(_)) if newest.1.elapsed() >= patience => break Ok(Ended::GaveUp),
                Ok(Look::Waiting(_)) => {}
                Err(error) => break Err(error),
            }
            stop.sleep(LOOK_EVERY);
        };
        stop.trigger();
        let panicked = || anyhow::anyhow!("a thread panicked; please report this");
        if let Some(queue) = queue {
            queue.join().map_err(|_| panicked())??;
        }
        if let Some(stream) = stream {
            stream.join().map_err(|_| panicked())??;
        }
        outcome
    })
}

/// The message if nothing came within the time limit.
pub fn gave_up(patience: Duration) -> String {
    format!(
        "no outcome arrived for {}: some errors have none yet; `adpipe doctor` shows whether the processor \
         and the queue are running, --wait waits longer",
        humantime::format_duration(patience)
    )
}
