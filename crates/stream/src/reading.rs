//! One consumer's life: reads the log and fills micro-batches. It starts from the offsets in the
//! warehouse, so it may end anywhere.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use adpipe_counting::micro_batch::{MicroBatch, Parsing};
use adpipe_event::Rules;
use adpipe_log::{Consumer, LogError, Offset, Polled, RecordBatch, Topic};
use adpipe_runtime::Backoff;

use crate::StreamError;
use crate::intake::{IDLE, Intake};

/// Bytes asked of the log at once.
const READ_BYTES: usize = 2 << 20;

/// A topic's consumer and its assigned partitions.
struct Source {
    topic: Topic,
    consumer: Box<dyn Consumer>,
    assigned: Vec<u32>,
}

pub(crate) struct Reading<'a> {
    intake: &'a Intake<'a>,
    sources: Vec<Source>,
    parsing: Parsing,
    generation: u64,
    /// What was read and is not handed over yet.
    batch: MicroBatch,
    /// When the first records of the batch were read.
    started: Instant,
}

impl<'a> Reading<'a> {
    pub fn start(intake: &'a Intake<'a>) -> Result<Reading<'a>, StreamError> {
        let rules = Rules {
            max_future_ms: intake.config.max_future.as_millis() as i64,
            fields: intake.config.fields.clone(),
        };
        let mut sources = Vec::new();
        for topic in adpipe_counting::TOPICS {
            sources.push(Source { topic, consumer: intake.log.consume(topic)?, assigned: Vec::new() });
        }
        let generation = intake.generation.load(Ordering::Acquire);
        Ok(Reading {
            intake,
            sources,
            parsing: Parsing::new(rules),
            generation,
            batch: MicroBatch::of_generation(generation),
            started: Instant::now(),
        })
    }

    /// Reads until the switch is off or the processor has ended.
    pub fn run(mut self, backoff: &mut Backoff) -> Result<(), StreamError> {
        while !self.intake.shutdown.is_triggered() {
            self.start_over_when_fenced()?;
            self.pass_on_commits();
            // The wait is for raw events; retries are looked for each time round.
            let mut wait = self.time_to_wait();
            for index in 0..self.sources.len() {
                self.poll(index, std::mem::take(&mut wait))?;
            }
            backoff.succeeded();
            if self.is_due() && self.hand_over().is_break() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// What was read under an older generation is void.
    fn start_over_when_fenced(&mut self) -> Result<(), StreamError> {
        let newest = self.intake.generation.load(Ordering::Acquire);
        if newest == self.generation {
            return Ok(());
        }
        self.generation = newest;
        self.batch = MicroBatch::of_generation(newest);
        self.seek(|_| true)
    }

    /// Says to the log what the processor has committed.
    fn pass_on_commits(&mut self) {
        for ((topic, partition), next) in self.intake.committed.take() {
            for source in self.sources.iter_mut().filter(|source| source.topic == topic) {
                source.consumer.committed(partition, next);
            }
        }
    }

    fn time_to_wait(&self) -> Duration {
        if self.batch.is_empty() {
            IDLE
        } else {
            self.intake.config.linger.saturating_sub(self.started.elapsed()).min(IDLE)
        }
    }

    fn poll(&mut self, index: usize, wait: Duration) -> Result<(), StreamError> {
        match self.sources[index].consumer.poll(READ_BYTES, wait) {
            Ok(Polled::Assigned(partitions)) => self.take_assignment(index, partitions),
            Ok(Polled::Batch(run)) => {
                self.add(run);
                Ok(())
            }
            Ok(Polled::Idle) => Ok(()),
            Err(error) => {
                // What came before the gap is written before anybody crosses it.
                if matches!(error, LogError::OutOfRange { .. }) && !self.batch.is_empty() {
                    let _ = self.hand_over();
                }
                Err(error.into())
            }
        }
    }

    /// What was read of a partition that is no longer ours is its new reader's to write. What is on its
    /// way to the warehouse is fenced there: whoever claims a partition's offsets second is told, and
    /// starts from the stored ones.
    fn take_assignment(&mut self, index: usize, partitions: Vec<u32>) -> Result<(), StreamError> {
        let topic = self.sources[index].topic;
        self.sources[index].assigned = partitions;
        let is_void = self.batch.shares.iter().any(|share| share.topic == topic);
        // Records of the other topic that are void with it have to be read again.
        let also_others = is_void && self.batch.shares.iter().any(|share| share.topic != topic);
        if is_void {
            self.batch = MicroBatch::of_generation(self.generation);
        }
        self.seek(|of| also_others || of == topic)
    }

    fn add(&mut self, run: RecordBatch) {
        if self.batch.is_empty() {
            self.started = Instant::now();
        }
        self.batch.add(run, &mut self.parsing);
    }

    fn is_due(&self) -> bool {
        let config = self.intake.config;
        let is_full =
            self.batch.records() >= config.batch_records || self.batch.byte_size() >= config.batch_bytes;
        !self.batch.is_empty() && (is_full || self.started.elapsed() >= config.linger)
    }

    /// Gives the batch to the processor; a break when that has ended.
    fn hand_over(&mut self) -> ControlFlow<()> {
        let batch = std::mem::replace(&mut self.batch, MicroBatch::of_generation(self.generation));
        match self.intake.batches.send(batch) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }

    /// Goes on from the stored offsets in the topics that are meant.
    fn seek(&mut self, is_meant: impl Fn(Topic) -> bool) -> Result<(), StreamError> {
        let intake = self.intake;
        self.sources
            .iter_mut()
            .filter(|source| is_meant(source.topic))
            .try_for_each(|source| source.seek(intake))
    }
}

impl Source {
    fn seek(&mut self, intake: &Intake<'_>) -> Result<(), StreamError> {
        if self.assigned.is_empty() {
            return Ok(());
        }
        let topic = self.topic.name();
        let stored = intake.warehouse.offsets(topic)?;
        let ranges = intake.log.ranges(self.topic)?;
        for partition in &self.assigned {
            let known = stored.iter().find(|offset| offset.partition == *partition);
            let kept = ranges.iter().find(|range| range.partition == *partition);
            let first = kept.map(|range| range.first).unwrap_or_default();
            let start = match known {
                // Said here, as Kafka itself would begin at its oldest record after offset 0.
                Some(offset) if offset.next_offset < first.0 => {
                    let (partition, wanted) = (*partition, offset.next_offset);
                    return Err(LogError::OutOfRange { topic, partition, wanted, oldest: first.0 }.into());
                }
                Some(offset) => Offset(offset.next_offset),
                None => {
                    // A warehouse that has seen nothing yet begins with the oldest record there is.
                    intake.warehouse.begin_at(topic, *partition, first.0)?;
                    first
                }
            };
            self.consumer.seek(*partition, start);
        }
        Ok(())
    }
}
