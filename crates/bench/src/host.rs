//! What the caller provides: back ends on places that go away with the measurement.

use std::any::Any;
use std::path::PathBuf;
use std::sync::Arc;

use adpipe_batch::{Archive, EtlConfig};
use adpipe_dlq::DlqSettings;
use adpipe_log::{EventLog, Topic};
use adpipe_metrics::Metrics;
use adpipe_runtime::Shutdown;
use adpipe_stream::StreamConfig;
use adpipe_warehouse::Warehouse;
use anyhow::bail;

/// Which warehouse a measurement needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WarehouseChoice {
    /// The embedded one, whatever was asked for.
    Embedded,
    /// The PostgreSQL database that was named, else the embedded one.
    Named,
}

/// Opens what is measured, as the pipeline itself would.
pub trait Host {
    /// Opens back ends on new places, which are removed when they are dropped.
    ///
    /// # Errors
    /// When a place cannot be made or opened.
    fn open(&self, name: &'static str, warehouse: WarehouseChoice) -> anyhow::Result<Pipeline>;

    /// Starts every role on new places, the embedded warehouse among them.
    ///
    /// # Errors
    /// When one of them cannot start.
    fn start(&self, name: &'static str) -> anyhow::Result<Box<dyn RunningPipeline>>;

    /// Tells people how far the measurement is.
    fn note(&self, text: &str);

    /// A number as people read it.
    fn grouped(&self, number: u64) -> String;
}

/// Every role in this process, at work.
pub trait RunningPipeline {
    /// Where events are posted.
    fn url(&self) -> String;

    /// The log that they are appended to.
    fn log(&self) -> &dyn EventLog;

    /// The warehouse that they are counted in.
    fn warehouse(&self) -> &dyn Warehouse;

    /// Ends the roles and removes their places.
    ///
    /// # Errors
    /// When a role had failed.
    fn end(self: Box<Self>) -> anyhow::Result<()>;
}

/// Opened back ends, and how the roles are set up to work on them.
pub struct Pipeline {
    /// The event log.
    pub log: Arc<dyn EventLog>,
    /// The warehouse.
    pub warehouse: Arc<dyn Warehouse>,
    /// The archive.
    pub archive: Archive,
    /// Counters.
    pub metrics: Metrics,
    /// The stream processor's settings.
    pub stream: StreamConfig,
    /// The dead-letter queue's settings.
    pub dlq: DlqSettings,
    /// Batch's settings, for no file yet.
    pub batch: EtlConfig,
    /// Where the embedded back ends and the archive are.
    pub folder: PathBuf,
    /// Whether the log is in that folder.
    pub has_embedded_log: bool,
    /// Whether the warehouse is in that folder.
    pub has_embedded_warehouse: bool,
    /// Removes the places; the last field, so that everything is closed before.
    pub places: Box<dyn Any + Send + Sync>,
}

impl Pipeline {
    /// Fails when the warehouse holds somebody's data. Offsets of another log would be taken for
    /// those of the new one.
    pub(crate) fn must_be_empty(self) -> anyhow::Result<Pipeline> {
        if !self.warehouse.offsets(Topic::Raw.name())?.is_empty() {
            bail!("{} is in use; make an empty database to measure with", self.warehouse.location());
        }
        Ok(self)
    }

    /// Runs the stream processor on this thread until the switch is off.
    pub(crate) fn run_stream(&self, shutdown: &Shutdown) -> anyhow::Result<()> {
        let (log, warehouse) = (self.log.as_ref(), self.warehouse.as_ref());
        Ok(adpipe_stream::processor::run(&self.stream, log, warehouse, &self.metrics, shutdown)?)
    }
}
