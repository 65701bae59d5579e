//! The last word about memory: where a database hands over more at once than can be refused before
//! it is here, the process ends instead of the machine.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use crate::output;

const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Pages are 4 KiB on every system that has `/proc/self/statm` and that adpipe is built for.
const PAGE_BYTES: u64 = 4_096;

/// Memory for rows on their way to the output, next to what the statement may take.
const BESIDE: u64 = 128 << 20;

/// Ends the process when it takes too much memory, as long as this lives.
pub struct Guard {
    _ended: Sender<()>,
}

impl Guard {
    /// Watches from now on. If the system does not report the memory in use, nothing is watched.
    pub fn start(limit: u64) -> Guard {
        let (ended, end) = channel::<()>();
        let most = resident().unwrap_or_default() + limit + BESIDE;
        let watch = move || {
            while end.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                if resident().is_some_and(|bytes| bytes > most) {
                    output::error(
                        "the result exceeds the memory limit; ask for less, or raise the limit with \
                         --memory (section [sql] of adpipe.toml)",
                    );
                    std::process::exit(1);
                }
            }
        };
        if let Err(error) = std::thread::Builder::new().name("memory".to_owned()).spawn(watch) {
            tracing::warn!(%error, "memory is not watched");
        }
        Guard { _ended: ended }
    }
}

/// Bytes of memory in use.
fn resident() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    Some(statm.split(' ').nth(1)?.parse::<u64>().ok()? * PAGE_BYTES)
}
