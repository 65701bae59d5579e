//! Waiting for the queue. Who waits does the work himself as long as no other process does.

use std::time::Duration;

use adpipe_dlq::Dlq;
use adpipe_stream::shutdown::Shutdown;

use crate::services::Services;

const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Waits until `is_done`, or until asked to end: then false.
pub fn until(
    services: &Services,
    dlq: &Dlq,
    shutdown: &Shutdown,
    mut is_done: impl FnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<bool> {
    let stop = Shutdown::new();
    let keeps_queue = services.take_vacant_dlq_role()?;
    let counts = services.take_vacant_stream_role()?;
    std::thread::scope(|scope| {
        let queue = keeps_queue.is_some().then(|| scope.spawn(|| adpipe_dlq::role::run(dlq, &stop)));
        let stream = counts.is_some().then(|| scope.spawn(|| services.run_stream(&stop)));
        let outcome = loop {
            match is_done() {
                Ok(false) if shutdown.is_triggered() => break Ok(false),
                Ok(false) if stop.is_triggered() => break Ok(false),
                Ok(false) => drop(stop.sleep(LOOK_EVERY)),
                other => break other,
            }
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
