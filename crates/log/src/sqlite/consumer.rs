//! Reads all partitions of a topic in turn.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Shared;
use crate::{Consumer, LogError, Offset, Polled, RecordBatch, Topic};

/// How long another process's append may go unnoticed; our own are noticed at once.
const LOOK_EVERY: Duration = Duration::from_millis(25);

pub(super) struct SqliteConsumer {
    shared: Arc<Shared>,
    topic: Topic,
    /// Next offset by partition; empty until the assignment was given.
    positions: Vec<(u32, Offset)>,
    /// Partition whose turn it is, as an index into `positions`.
    turn: usize,
    ready: VecDeque<RecordBatch>,
}

impl SqliteConsumer {
    pub fn new(shared: Arc<Shared>, topic: Topic) -> SqliteConsumer {
        SqliteConsumer { shared, topic, positions: Vec::new(), turn: 0, ready: VecDeque::new() }
    }

    /// Reads from the first partition, beginning with the one whose turn it is, that has something.
    fn fill(&mut self, max_bytes: usize) -> Result<(), LogError> {
        for _ in 0..self.positions.len() {
            let (partition, from) = self.positions[self.turn];
            let batches = super::read::read(&self.shared, self.topic, partition, from, max_bytes)?;
            if let Some(last) = batches.last() {
                self.positions[self.turn].1 = last.next_offset();
            }
            self.turn = (self.turn + 1) % self.positions.len();
            if !batches.is_empty() {
                self.ready.extend(batches);
                return Ok(());
            }
        }
        Ok(())
    }
}

impl Consumer for SqliteConsumer {
    fn poll(&mut self, max_bytes: usize, timeout: Duration) -> Result<Polled, LogError> {
        if self.positions.is_empty() {
            let ranges = self.shared.ranges(self.topic)?;
            self.positions = ranges.iter().map(|range| (range.partition, range.first)).collect();
            return Ok(Polled::Assigned(ranges.iter().map(|range| range.partition).collect()));
        }
        let deadline = Instant::now() + timeout;
        loop {
            let seen = self.shared.appended.count();
            if self.ready.is_empty() {
                self.fill(max_bytes)?;
            }
            if let Some(batch) = self.ready.pop_front() {
                return Ok(Polled::Batch(batch));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Polled::Idle);
            }
            self.shared.appended.wait(seen, left.min(LOOK_EVERY));
        }
    }

    fn seek(&mut self, partition: u32, offset: Offset) {
        self.ready.retain(|batch| batch.partition != partition);
        for position in self.positions.iter_mut().filter(|position| position.0 == partition) {
            position.1 = offset;
        }
    }
}
