//! Writing to a warehouse that may be away for a while.

use std::time::{Duration, Instant};

use adpipe_runtime::{Backoff, Shutdown};

use crate::BatchError;

/// How long a run waits for a warehouse that cannot be written.
const WRITE_LIMIT: Duration = Duration::from_secs(120);

/// Tries until it is written, the failure is no passing one, the limit is over or the switch is off.
pub(crate) fn until_written(
    shutdown: &Shutdown,
    mut try_it: impl FnMut() -> Result<(), BatchError>,
) -> Result<(), BatchError> {
    let started = Instant::now();
    let mut backoff = Backoff::new("the warehouse");
    loop {
        match try_it() {
            Ok(()) => {
                backoff.succeeded();
                return Ok(());
            }
            Err(BatchError::Warehouse(error)) if error.is_transient() => {
                if started.elapsed() > WRITE_LIMIT || shutdown.is_triggered() {
                    return Err(error.into());
                }
                backoff.failed(&error, shutdown);
            }
            Err(error) => return Err(error),
        }
    }
}
