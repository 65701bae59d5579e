//! Keeps reading the log, whatever ends the life of one consumer.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::SyncSender;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use adpipe_counting::micro_batch::MicroBatch;
use adpipe_log::{EventLog, LogError, Offset, Topic};
use adpipe_runtime::{Backoff, Shutdown};
use adpipe_stores::crossing::{Crossing, cross};
use adpipe_warehouse::Warehouse;

use crate::reading::Reading;
use crate::{StreamConfig, StreamError};

/// How long to wait for records before looking whether something else is to be done.
pub(crate) const IDLE: Duration = Duration::from_millis(50);

pub(crate) struct Intake<'a> {
    pub config: &'a StreamConfig,
    pub log: &'a dyn EventLog,
    pub warehouse: &'a dyn Warehouse,
    pub shutdown: &'a Shutdown,
    /// Raised by the processor when it was fenced: what was read under an older one is void.
    pub generation: &'a AtomicU64,
    /// What the processor has committed since the consumer was last informed.
    pub committed: &'a Committed,
    pub batches: SyncSender<MicroBatch>,
}

/// Offsets after what was committed, by topic and partition, on their way from the processor to the
/// intake.
#[derive(Default)]
pub(crate) struct Committed(Mutex<BTreeMap<(Topic, u32), Offset>>);

impl Committed {
    pub fn note(&self, topic: Topic, partition: u32, next: Offset) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert((topic, partition), next);
    }

    pub fn take(&self) -> BTreeMap<(Topic, u32), Offset> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Intake<'_> {
    /// Reads until the switch is off, the processor has ended, or the log is damaged.
    pub fn run(self) -> Result<(), StreamError> {
        let mut backoff = Backoff::new("the event log");
        while !self.shutdown.is_triggered() {
            match Reading::start(&self).and_then(|reading| reading.run(&mut backoff)) {
                Ok(()) => return Ok(()),
                Err(StreamError::Log(error @ LogError::OutOfRange { .. })) => self.cross(error)?,
                Err(StreamError::Log(error)) if error.is_transient() => backoff.failed(&error, self.shutdown),
                Err(StreamError::Warehouse(error)) if error.is_transient() => {
                    backoff.failed(&error, self.shutdown);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Continues after records that are lost, if the loss is on record.
    fn cross(&self, error: LogError) -> Result<(), StreamError> {
        match cross(self.warehouse, &error) {
            Ok(Crossing::Crossed) => Ok(()),
            Ok(Crossing::NotThere) => {
                self.shutdown.sleep(IDLE);
                Ok(())
            }
            Ok(Crossing::Refused) => Err(error.into()),
            Err(error) if error.is_transient() => {
                self.shutdown.sleep(IDLE);
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }
}
