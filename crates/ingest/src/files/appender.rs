//! Appends one after the other, slowed down by the processor.

use std::time::Duration;

use adpipe_log::{AppendTicket, LogError, Records, SourcePosition, Topic};

use super::{FileIngest, IngestError, Notice};

/// How long to wait before looking again whether the processor has caught up.
const CATCH_UP: Duration = Duration::from_millis(200);

/// While one append becomes durable the next is read. None is queued behind one that might fail, so
/// that a source's position is never ahead of its records.
pub(super) struct Appender<'r> {
    ingest: &'r FileIngest<'r>,
    show: &'r dyn Fn(Notice),
    in_flight: Option<AppendTicket>,
}

impl<'r> Appender<'r> {
    pub fn new(ingest: &'r FileIngest<'r>, show: &'r dyn Fn(Notice)) -> Appender<'r> {
        Appender { ingest, show, in_flight: None }
    }

    pub fn append(&mut self, records: Records, position: Option<SourcePosition>) -> Result<(), IngestError> {
        self.finish()?;
        self.wait_for_processor()?;
        let count = records.len() as u64;
        self.in_flight = Some(self.ingest.log.append(Topic::Raw, records, position)?);
        self.ingest.metrics.records_appended.with_label_values(&[Topic::Raw.name()]).inc_by(count);
        Ok(())
    }

    /// Waits until everything that was appended is durable.
    pub fn finish(&mut self) -> Result<(), LogError> {
        self.in_flight.take().map_or(Ok(()), AppendTicket::wait)
    }

    /// Back-pressure: while too much waits for the processor, nothing is added, as long as there
    /// is a processor to wait for.
    fn wait_for_processor(&self) -> Result<(), IngestError> {
        let mut is_shown = false;
        loop {
            let records = self.ingest.lag.lag()?.records;
            if records < self.ingest.max_lag_records || self.ingest.shutdown.is_triggered() {
                return Ok(());
            }
            if !(self.ingest.has_processor)().map_err(IngestError::Processor)? {
                return Ok(());
            }
            if !is_shown {
                (self.show)(Notice::Waits { records });
                is_shown = true;
            }
            self.ingest.shutdown.sleep(CATCH_UP);
        }
    }
}
