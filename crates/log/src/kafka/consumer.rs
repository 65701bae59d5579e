//! A member of the consumer group: reads the partitions it is given, from where its owner says.
//!
//! The group only decides which process reads which partition; the warehouse says where to continue. So
//! a partition is fetched only once its owner has called [`Consumer::seek`] for it, and a partition
//! taken away and given again starts from there again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Message as _, TopicPartitionList};

use super::cluster::Cluster;
use super::collect::Collector;
use super::context::NewestError;
use super::failure::{failure, is_damage};
use super::options::KafkaOptions;
use super::reader::Readers;
use crate::{Consumer, LogError, Offset, Polled, RecordBatch, Topic};

/// Kafka's own offsets are only for people's tools: this often is enough.
const COMMIT_EVERY: Duration = Duration::from_secs(1);

/// A partition at its end is looked at again after this long without a record.
const SETTLED_AFTER: Duration = Duration::from_secs(1);

/// librdkafka's own threads answer a seek, without a broker.
const SEEK_TIMEOUT: Duration = Duration::from_secs(1);

/// A partition cannot be sought before its fetching has begun.
const SEEK_AGAIN_AFTER: Duration = Duration::from_millis(20);

pub(super) struct KafkaConsumer {
    options: Arc<KafkaOptions>,
    cluster: Arc<Cluster>,
    readers: Arc<Readers>,
    topic: Topic,
    consumer: BaseConsumer<GroupContext>,
    /// One for each partition that is ours.
    collectors: Vec<Collector>,
    /// True while Kafka does not know where to read from: after an assignment or a seek.
    is_unplaced: bool,
    /// True once the partitions of the newest assignment are fetched.
    is_fetching: bool,
    ready: VecDeque<RecordBatch>,
    /// Partitions that were read to their end, and when.
    at_end: BTreeMap<u32, Instant>,
    uncommitted: BTreeMap<u32, Offset>,
    committed_at: Instant,
    is_cut_off: bool,
}

impl KafkaConsumer {
    pub fn join(
        cluster: Arc<Cluster>,
        readers: Arc<Readers>,
        topic: Topic,
    ) -> Result<KafkaConsumer, LogError> {
        let options = Arc::clone(&cluster.options);
        let name = options.topic_name(topic);
        let consumer: BaseConsumer<GroupContext> = options
            .group_consumer(topic)
            .create_with_context(GroupContext::default())
            .map_err(|error| failure(&options, Some(topic), &error, None))?;
        consumer.subscribe(&[&name]).map_err(|error| failure(&options, Some(topic), &error, None))?;
        Ok(KafkaConsumer {
            options,
            cluster,
            readers,
            topic,
            consumer,
            collectors: Vec::new(),
            is_unplaced: false,
            is_fetching: false,
            ready: VecDeque::new(),
            at_end: BTreeMap::new(),
            uncommitted: BTreeMap::new(),
            committed_at: Instant::now(),
            is_cut_off: false,
        })
    }

    /// Takes over an assignment that came in, if one did.
    fn take_assignment(&mut self) -> Option<Polled> {
        let partitions = self.consumer.context().take_assignment()?;
        self.ready.clear();
        self.at_end.clear();
        self.uncommitted.clear();
        self.collectors =
            partitions.iter().map(|partition| Collector::new(self.topic, *partition, Offset(0))).collect();
        self.is_unplaced = !partitions.is_empty();
        self.is_fetching = false;
        tracing::info!(?partitions, group = self.options.group(self.topic), "partitions assigned");
        Some(Polled::Assigned(partitions))
    }

    /// Tells Kafka from where to read each of our partitions; what it had fetched is void.
    fn place(&mut self) -> Result<(), LogError> {
        let name = self.options.topic_name(self.topic);
        let mut list = TopicPartitionList::new();
        for collector in &self.collectors {
            let offset = match collector.next() {
                Offset(0) => rdkafka::Offset::Beginning,
                Offset(next) => rdkafka::Offset::Offset(next as i64),
            };
            list.add_partition_offset(&name, collector.partition() as i32, offset)
                .map_err(|error| failure(&self.options, Some(self.topic), &error, None))?;
        }
        if self.is_fetching {
            // Not by another assignment: when the group takes the partitions away while librdkafka stops
            // the former one, it stops them twice and aborts the process.
            let sought = self.consumer.seek_partitions(list, SEEK_TIMEOUT);
            let errors = sought.and_then(|list| list.elements().iter().try_for_each(|one| one.error()));
            if let Err(error) = errors {
                tracing::debug!(%error, "the partitions cannot be read from another offset yet");
                return Ok(());
            }
        } else {
            self.consumer
                .assign(&list)
                .map_err(|error| failure(&self.options, Some(self.topic), &error, None))?;
            self.is_fetching = true;
        }
        self.is_unplaced = false;
        self.at_end.clear();
        Ok(())
    }

    /// Waits for the group's assignment; what was fetched in the meantime is void, as it is from before
    /// a seek.
    fn await_revocation(&mut self, timeout: Duration) -> Result<Polled, LogError> {
        match self.consumer.poll(timeout) {
            None | Some(Ok(_) | Err(KafkaError::PartitionEOF(_))) => {}
            Some(Err(error)) => self.check(&error)?,
        }
        Ok(self.take_assignment().unwrap_or(Polled::Idle))
    }

    /// Waits for one thing and takes all that is there after it.
    fn fetch(&mut self, max_bytes: usize, timeout: Duration) -> Result<(), LogError> {
        let mut wait = timeout;
        let mut bytes = 0;
        while bytes < max_bytes {
            match self.consumer.poll(wait) {
                Some(Ok(message)) => {
                    bytes += message.payload_len() + message.key_len();
                    let partition = message.partition() as u32;
                    let collector =
                        self.collectors.iter_mut().find(|collector| collector.partition() == partition);
                    if let Some(collector) = collector {
                        self.ready.extend(collector.take(&message));
                        self.at_end.remove(&partition);
                    }
                    drop(message);
                    self.is_reached();
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    self.at_end.insert(partition as u32, Instant::now());
                    self.is_reached();
                }
                Some(Err(error)) => self.check(&error)?,
                None => break,
            }
            wait = Duration::ZERO;
        }
        self.ready.extend(self.collectors.iter_mut().filter_map(Collector::close));
        Ok(())
    }

    fn is_reached(&mut self) {
        if std::mem::take(&mut self.is_cut_off) {
            tracing::info!("the brokers can be reached again");
        }
    }

    /// Sorts an error: librdkafka continues by itself after most of them.
    fn check(&mut self, error: &KafkaError) -> Result<(), LogError> {
        let code = error.rdkafka_error_code();
        if code == Some(RDKafkaErrorCode::AutoOffsetReset) {
            return self.find_out_of_range();
        }
        if is_damage(code) {
            return self.find_damage(error);
        }
        if matches!(error, KafkaError::MessageConsumptionFatal(_)) {
            return Err(failure(&self.options, Some(self.topic), error, self.consumer.context().newest()));
        }
        if code == Some(RDKafkaErrorCode::AllBrokersDown) {
            if !self.is_cut_off {
                let reason = self.consumer.context().newest().map(|client_error| client_error.reason);
                tracing::warn!(reason, "no broker can be reached; waiting until one can");
                self.is_cut_off = true;
            }
            return Ok(());
        }
        // A topic may look missing for a moment while a broker starts; `open` has seen it.
        if matches!(code, Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic)) {
            tracing::warn!(%error, "the brokers do not know the topic now; waiting until they do");
            return Ok(());
        }
        match failure(&self.options, Some(self.topic), error, self.consumer.context().newest()) {
            LogError::Unavailable { reason, .. } => {
                tracing::debug!(%error, reason, "kafka; going on");
                Ok(())
            }
            refused => Err(refused),
        }
    }

    /// Records that should be there and are not must never be skipped silently.
    fn find_out_of_range(&self) -> Result<(), LogError> {
        for collector in &self.collectors {
            let range = self.cluster.range(self.topic, collector.partition())?;
            let next = collector.next();
            if next.0 > 0 && (next < range.first || next > range.next) {
                return Err(LogError::OutOfRange {
                    topic: self.topic.name(),
                    partition: collector.partition(),
                    wanted: next.0,
                    oldest: range.first.0,
                });
            }
        }
        Ok(())
    }

    /// librdkafka does not say which partition it was. Asking each of them again also distinguishes
    /// damage on the broker's disk from damage on the way, which is gone the next time.
    fn find_damage(&self, error: &KafkaError) -> Result<(), LogError> {
        for collector in &self.collectors {
            let (partition, next) = (collector.partition(), collector.next());
            let range = self.cluster.range(self.topic, partition)?;
            self.readers.read(self.topic, partition, next.max(range.first), 1)?;
        }
        tracing::warn!(%error, "records came damaged from a broker; reading them again");
        Ok(())
    }

    /// A partition may end in offsets without records: what ended a transaction has one, and what was
    /// compacted away had. They would never be committed, and the lag would never be zero.
    fn cover_end(&mut self) -> Option<RecordBatch> {
        let settled = |at: &Instant| at.elapsed() >= SETTLED_AFTER;
        let partition = *self.at_end.iter().find(|(_, at)| settled(at))?.0;
        self.at_end.remove(&partition);
        let collector = self.collectors.iter_mut().find(|collector| collector.partition() == partition)?;
        let next = collector.next();
        let from = match next {
            Offset(0) => self.cluster.range(self.topic, partition).ok()?.first,
            next => next,
        };
        // A record after the gap is left to the fetch that is under way.
        let behind = self.readers.read(self.topic, partition, from, 1).ok()?;
        let first = behind.first()?;
        (first.is_empty() && first.base_offset > next).then(|| collector.cover(first.base_offset))
    }

    fn commit(&mut self) {
        if self.uncommitted.is_empty() || self.committed_at.elapsed() < COMMIT_EVERY {
            return;
        }
        self.commit_now();
    }

    fn commit_now(&mut self) {
        let name = self.options.topic_name(self.topic);
        let mut list = TopicPartitionList::new();
        for (partition, offset) in std::mem::take(&mut self.uncommitted) {
            let offset = rdkafka::Offset::Offset(offset.0 as i64);
            // Nothing depends on it, so a failure does not matter.
            let _ = list.add_partition_offset(&name, partition as i32, offset);
        }
        let _ = self.consumer.commit(&list, CommitMode::Async);
        self.committed_at = Instant::now();
    }
}

impl Consumer for KafkaConsumer {
    fn poll(&mut self, max_bytes: usize, timeout: Duration) -> Result<Polled, LogError> {
        if self.is_unplaced {
            // What the group has taken away must not be assigned again: librdkafka aborts the process
            // for it. One of the next polls reports that it was taken away.
            if self.consumer.assignment_lost() {
                return self.await_revocation(timeout);
            }
            self.place()?;
            if self.is_unplaced {
                return self.await_revocation(timeout.min(SEEK_AGAIN_AFTER));
            }
        }
        self.commit();
        if self.ready.is_empty() {
            self.fetch(max_bytes, timeout)?;
        }
        // Whatever was fetched before an assignment is void with it.
        if let Some(assigned) = self.take_assignment() {
            return Ok(assigned);
        }
        match self.ready.pop_front().or_else(|| self.cover_end()) {
            Some(batch) => Ok(Polled::Batch(batch)),
            None => Ok(Polled::Idle),
        }
    }

    fn seek(&mut self, partition: u32, offset: Offset) {
        self.ready.retain(|batch| batch.partition != partition);
        for collector in self.collectors.iter_mut().filter(|collector| collector.partition() == partition) {
            collector.seek(offset);
            self.is_unplaced = true;
        }
    }

    fn committed(&mut self, partition: u32, offset: Offset) {
        if self.collectors.iter().any(|collector| collector.partition() == partition) {
            self.uncommitted.insert(partition, offset);
        }
    }
}

impl Drop for KafkaConsumer {
    /// Leaves the group, so that others get our partitions at once.
    fn drop(&mut self) {
        if !self.uncommitted.is_empty() {
            self.commit_now();
        }
        self.consumer.context().is_closing.store(true, Ordering::Release);
        if self.is_unplaced || self.consumer.context().take_assignment().is_some() {
            // Closing waits for an answer to the assignment.
            let _ = self.consumer.unassign();
        }
    }
}

/// Receives what the group decides.
#[derive(Default)]
struct GroupContext {
    newest_error: NewestError,
    /// The newest assignment that was not taken yet: all partitions that are ours.
    assignment: Mutex<Option<Vec<u32>>>,
    is_closing: AtomicBool,
}

impl GroupContext {
    fn take_assignment(&self) -> Option<Vec<u32>> {
        self.assignment.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn newest(&self) -> Option<super::context::ClientError> {
        self.newest_error.newest()
    }
}

impl ClientContext for GroupContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.newest_error.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.newest_error.note(&error, reason);
    }
}

impl ConsumerContext for GroupContext {
    /// Takes note of an assignment without starting to fetch: the owner says from where. A partition
    /// that is taken away is dropped at once; its records under way are fenced by the offsets in the
    /// warehouse.
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        error: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        let is_assignment = error == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        let ours = if is_assignment && !self.is_closing.load(Ordering::Acquire) {
            partitions.elements().iter().map(|element| element.partition() as u32).collect()
        } else {
            let _ = consumer.unassign();
            Vec::new()
        };
        // An assignment of nothing (more members than partitions) has to be answered, too.
        if is_assignment && ours.is_empty() {
            let _ = consumer.assign(&TopicPartitionList::new());
        }
        *self.assignment.lock().unwrap_or_else(PoisonError::into_inner) = Some(ours);
    }

    fn commit_callback(&self, result: KafkaResult<()>, _offsets: &TopicPartitionList) {
        if let Err(error) = result {
            tracing::debug!(%error, "kafka's own offsets were not committed; adpipe does not need them");
        }
    }
}
