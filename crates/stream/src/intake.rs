//! Reads the log and fills micro-batches.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use adpipe_event::Rules;
use adpipe_log::{Consumer, EventLog, LogError, Offset, Polled, Topic};
use adpipe_warehouse::Warehouse;

use crate::micro_batch::{MicroBatch, Parsing};
use crate::stores::crossing::{Crossing, cross};
use crate::{StreamConfig, StreamError};
use adpipe_runtime::Backoff;
use adpipe_runtime::Shutdown;

/// Bytes asked of the log at once.
const READ_BYTES: usize = 2 << 20;

/// How long to wait for records before looking whether something else is to be done.
const IDLE: Duration = Duration::from_millis(50);

pub(crate) struct Intake<'a> {
    pub config: &'a StreamConfig,
    pub log: &'a dyn EventLog,
    pub warehouse: &'a dyn Warehouse,
    pub shutdown: &'a Shutdown,
    /// Raised by the processor when it was fenced: what was read under an older one is void.
    pub generation: &'a AtomicU64,
    /// What the processor has committed since the consumer was told last.
    pub committed: &'a Committed,
    pub batches: SyncSender<MicroBatch>,
}

/// Offsets behind what was committed, by topic and partition, on their way from the processor to the intake.
#[derive(Default)]
pub(crate) struct Committed(Mutex<BTreeMap<(Topic, u32), Offset>>);

impl Committed {
    pub fn note(&self, topic: Topic, partition: u32, next: Offset) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert((topic, partition), next);
    }

    fn take(&self) -> BTreeMap<(Topic, u32), Offset> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A topic's consumer and what it was given.
struct Source {
    topic: Topic,
    consumer: Box<dyn Consumer>,
    assigned: Vec<u32>,
}

impl Intake<'_> {
    /// Reads until the switch is off, the processor has ended, or the log is damaged.
    pub fn run(self) -> Result<(), StreamError> {
        let mut backoff = Backoff::new("the event log");
        while !self.shutdown.is_triggered() {
            match self.read_on(&mut backoff) {
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

    /// Goes on after records that are gone, when it is on record that they are.
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

    /// One consumer's life. It starts from the offsets in the warehouse, so it may end anywhere.
    fn read_on(&self, backoff: &mut Backoff) -> Result<(), StreamError> {
        let mut parsing = Parsing::new(Rules {
            max_future_ms: self.config.max_future.as_millis() as i64,
            fields: self.config.fields.clone(),
        });
        let mut sources = Vec::new();
        for topic in crate::TOPICS {
            sources.push(Source { topic, consumer: self.log.consume(topic)?, assigned: Vec::new() });
        }
        let mut generation = self.generation.load(Ordering::Acquire);
        let mut batch = MicroBatch { generation, ..MicroBatch::default() };
        let mut started = Instant::now();
        loop {
            if self.shutdown.is_triggered() {
                return Ok(());
            }
            let newest = self.generation.load(Ordering::Acquire);
            if newest != generation {
                generation = newest;
                batch = MicroBatch { generation, ..MicroBatch::default() };
                for source in &mut sources {
                    self.seek_all(source)?;
                }
            }
            for ((topic, partition), next) in self.committed.take() {
                for source in sources.iter_mut().filter(|source| source.topic == topic) {
                    source.consumer.committed(partition, next);
                }
            }
            let timeout = if batch.is_empty() {
                IDLE
            } else {
                self.config.linger.saturating_sub(started.elapsed()).min(IDLE)
            };
            // The wait is for raw events; retries are looked for each time round.
            let mut waits = timeout;
            for index in 0..sources.len() {
                let polled = sources[index].consumer.poll(READ_BYTES, std::mem::take(&mut waits));
                // What came before the gap is written before anybody crosses it.
                if matches!(polled, Err(LogError::OutOfRange { .. })) && !batch.is_empty() {
                    let rest = std::mem::take(&mut batch);
                    let _ = self.batches.send(rest);
                }
                match polled? {
                    Polled::Assigned(partitions) => {
                        // What was read of a partition that is no longer ours is its new reader's
                        // to write. What is on its way to the warehouse is fenced there: whoever
                        // claims a partition's offsets second is told, and starts from the stored
                        // ones.
                        let topic = sources[index].topic;
                        sources[index].assigned = partitions;
                        let holds = |of_topic: &dyn Fn(Topic) -> bool| {
                            batch.shares.iter().any(|share| of_topic(share.topic))
                        };
                        let is_void = holds(&|of| of == topic);
                        // Records of the other topic that are void with it have to be read again.
                        let also_others = is_void && holds(&|of| of != topic);
                        if is_void {
                            batch = MicroBatch { generation, ..MicroBatch::default() };
                        }
                        for source in sources.iter_mut().filter(|s| also_others || s.topic == topic) {
                            self.seek_all(source)?;
                        }
                    }
                    Polled::Batch(run) => {
                        if batch.is_empty() {
                            started = Instant::now();
                        }
                        batch.add(run, &mut parsing);
                    }
                    Polled::Idle => {}
                }
            }
            backoff.succeeded();
            let is_full =
                batch.records() >= self.config.batch_records || batch.byte_size() >= self.config.batch_bytes;
            if !batch.is_empty() && (is_full || started.elapsed() >= self.config.linger) {
                let full = std::mem::replace(&mut batch, MicroBatch { generation, ..MicroBatch::default() });
                // The processor has ended: so do we.
                if self.batches.send(full).is_err() {
                    return Ok(());
                }
            }
        }
    }

    fn seek_all(&self, source: &mut Source) -> Result<(), StreamError> {
        if source.assigned.is_empty() {
            return Ok(());
        }
        let topic = source.topic;
        let stored = self.warehouse.offsets(topic.name())?;
        let ranges = self.log.ranges(topic)?;
        for partition in &source.assigned {
            let known = stored.iter().find(|offset| offset.partition == *partition);
            let kept = ranges.iter().find(|range| range.partition == *partition);
            let start = match known {
                // Said here, as Kafka itself would begin at its oldest record after offset 0.
                Some(offset) if kept.is_some_and(|range| offset.next_offset < range.first.0) => {
                    let oldest = kept.map_or(0, |range| range.first.0);
                    let (partition, wanted) = (*partition, offset.next_offset);
                    return Err(
                        LogError::OutOfRange { topic: topic.name(), partition, wanted, oldest }.into()
                    );
                }
                Some(offset) => Offset(offset.next_offset),
                None => {
                    // A warehouse that has seen nothing yet begins with the oldest record there is.
                    let first = kept.map(|range| range.first).unwrap_or_default();
                    self.warehouse.begin_at(topic.name(), *partition, first.0)?;
                    first
                }
            };
            source.consumer.seek(*partition, start);
        }
        Ok(())
    }
}
