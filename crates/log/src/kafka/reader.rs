//! Reading a range of offsets without joining the group: for `verify`, `doctor`, the console.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::cluster::Cluster;
use super::collect::Collector;
use super::context::PlainContext;
use super::failure::{by_code, damaged, failure, is_damage};
use super::options::BROKER_TIMEOUT;
use crate::{LogError, Offset, RecordBatch, Topic};

/// Readers kept for the next call, which usually continues where this one ended.
const KEPT: usize = 4;

/// Hands out readers.
pub(super) struct Readers {
    cluster: Arc<Cluster>,
    idle: Mutex<Vec<Reader>>,
}

/// A consumer that is assigned one partition.
struct Reader {
    consumer: BaseConsumer<PlainContext>,
    topic: Topic,
    collector: Collector,
}

impl Readers {
    pub fn new(cluster: Arc<Cluster>) -> Readers {
        Readers { cluster, idle: Mutex::new(Vec::new()) }
    }

    /// Reads from an offset on until about `max_bytes` are there, or up to the end as it is now.
    pub fn read(
        &self,
        topic: Topic,
        partition: u32,
        from: Offset,
        max_bytes: usize,
    ) -> Result<Vec<RecordBatch>, LogError> {
        let range = self.cluster.range(topic, partition)?;
        if from < range.first || from > range.next {
            let (wanted, oldest) = (from.0, range.first.0);
            return Err(LogError::OutOfRange { topic: topic.name(), partition, wanted, oldest });
        }
        if from == range.next {
            return Ok(Vec::new());
        }
        let (mut reader, goes_on) = self.reader_at(topic, partition, from)?;
        let batches = self.collect(&mut reader, range.next, max_bytes, !goes_on)?;
        // After a failure the reader is not kept: its position is then unknown.
        let mut idle = self.lock();
        idle.truncate(KEPT - 1);
        idle.insert(0, reader);
        Ok(batches)
    }

    /// A reader at that place, and whether it stood there already.
    fn reader_at(&self, topic: Topic, partition: u32, from: Offset) -> Result<(Reader, bool), LogError> {
        let mut idle = self.lock();
        let stands_there = |reader: &Reader| {
            reader.topic == topic
                && reader.collector.partition() == partition
                && reader.collector.next() == from
        };
        if let Some(index) = idle.iter().position(stands_there) {
            return Ok((idle.remove(index), true));
        }
        let mut reader = match idle.pop() {
            Some(reader) => reader,
            None => self.new_reader()?,
        };
        drop(idle);
        reader.topic = topic;
        reader.collector = Collector::new(topic, partition, from);
        self.assign(&reader)?;
        Ok((reader, false))
    }

    fn new_reader(&self) -> Result<Reader, LogError> {
        let options = &self.cluster.options;
        let consumer = options
            .reader()
            .set("group.id", options.group(Topic::Raw))
            .create_with_context(PlainContext::default())
            .map_err(|error| failure(options, None, &error, None))?;
        Ok(Reader { consumer, topic: Topic::Raw, collector: Collector::new(Topic::Raw, 0, Offset(0)) })
    }

    fn assign(&self, reader: &Reader) -> Result<(), LogError> {
        let options = &self.cluster.options;
        let (name, place) = (options.topic_name(reader.topic), &reader.collector);
        let mut list = TopicPartitionList::new();
        let offset = rdkafka::Offset::Offset(place.next().0 as i64);
        list.add_partition_offset(&name, place.partition() as i32, offset)
            .and_then(|()| reader.consumer.assign(&list))
            .map_err(|error| failure(options, Some(reader.topic), &error, None))
    }

    /// Takes records up to `end`. That the partition ended earlier is only believed of a reader
    /// which began after `end` was known: an older one may have met its end before.
    fn collect(
        &self,
        reader: &mut Reader,
        end: Offset,
        max_bytes: usize,
        mut is_new: bool,
    ) -> Result<Vec<RecordBatch>, LogError> {
        let mut batches = Vec::new();
        let mut bytes = 0;
        let mut deadline = Instant::now() + BROKER_TIMEOUT;
        while bytes < max_bytes && reader.collector.next() < end {
            match reader.consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => {
                    bytes += message.payload_len() + message.key_len();
                    batches.extend(reader.collector.take(&message));
                    deadline = Instant::now() + BROKER_TIMEOUT;
                }
                Some(Err(KafkaError::PartitionEOF(_))) if is_new => {
                    batches.extend(reader.collector.close());
                    batches.push(reader.collector.cover(end));
                }
                Some(Err(KafkaError::PartitionEOF(_))) => {
                    self.assign(reader)?;
                    is_new = true;
                }
                Some(Err(error)) => self.check(reader, &error)?,
                None => {}
            }
            if Instant::now() >= deadline {
                let client_error = reader.consumer.context().newest_error.newest();
                let code = RDKafkaErrorCode::OperationTimedOut;
                return Err(by_code(&self.cluster.options, Some(reader.topic), code, client_error));
            }
        }
        batches.extend(reader.collector.close());
        reader.consumer.context().newest_error.forget();
        Ok(batches)
    }

    /// Stops at what waiting cannot fix.
    fn check(&self, reader: &Reader, error: &KafkaError) -> Result<(), LogError> {
        let (topic, partition) = (reader.topic, reader.collector.partition());
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AutoOffsetReset) {
            let (wanted, oldest) = (reader.collector.next().0, self.cluster.range(topic, partition)?.first.0);
            return Err(LogError::OutOfRange { topic: topic.name(), partition, wanted, oldest });
        }
        if is_damage(error.rdkafka_error_code()) {
            return Err(damaged(&self.cluster.options, topic, partition, reader.collector.next(), error));
        }
        match failure(&self.cluster.options, Some(topic), error, None) {
            LogError::Unavailable { .. } => Ok(()),
            refused => Err(refused),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Reader>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
