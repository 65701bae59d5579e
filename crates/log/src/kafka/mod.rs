//! The event log on Apache Kafka, or any broker that speaks its protocol, through librdkafka.
//!
//! - [`producer`]: idempotent, acknowledged by all replicas, keyed by the event's id.
//! - [`consumer`]: a member of the consumer group, which shares the partitions among processors.
//!   Offsets live in the warehouse; what is committed to Kafka is for people's tools only.
//! - [`reader`]: reads a range of offsets for `verify`, `doctor` and the console.
//! - [`cluster`]: partitions, offsets, members; [`topics`] makes the topics, [`settings`] looks at
//!   how the brokers keep them.
//! - [`failure`]: what Kafka's errors mean and what to do about them.
//!
//! Two things differ from the embedded log. Offsets may have gaps: a batch says from where it
//! accounts ([`RecordBatch::covered_from`]). And Kafka cannot keep a source's position in the
//! same transaction: [`positions`] keeps it in a local file, at least once.

mod cluster;
mod collect;
mod consumer;
mod context;
mod failure;
mod options;
mod positions;
mod producer;
mod reader;
mod settings;
mod topics;

use std::sync::Arc;
use std::time::Duration;

pub use options::{DEFAULT_GROUP, KafkaOptions, is_secret};
pub use settings::TopicSettings;

use crate::{
    AppendTicket, Consumer, EventLog, LogError, LogIdentity, Offset, PartitionRange, RecordBatch, Records,
    RetentionPolicy, Retired, SourcePosition, Topic,
};

/// The event log on a Kafka cluster.
pub struct KafkaLog {
    options: Arc<KafkaOptions>,
    cluster: Arc<cluster::Cluster>,
    readers: Arc<reader::Readers>,
    producer: producer::Producer,
}

impl KafkaLog {
    /// Connects, and checks that the topics are there and keep what they are given.
    ///
    /// # Errors
    /// Within some seconds, with what to do: the brokers cannot be reached, do not accept the
    /// user, or a topic is missing or compacted.
    pub fn open(options: KafkaOptions) -> Result<KafkaLog, LogError> {
        let log = KafkaLog::connect(options)?;
        if let Some(missing) = log.missing_topics()?.first() {
            return Err(failure::no_topic(&log.options, *missing));
        }
        match log.topic_settings()?.iter().find_map(|settings| settings.refusal(&log.options)) {
            Some(refusal) => Err(refusal),
            None => Ok(log),
        }
    }

    /// What the brokers say of our topics, which must be there.
    ///
    /// # Errors
    /// When the brokers cannot be asked.
    pub fn topic_settings(&self) -> Result<Vec<TopicSettings>, LogError> {
        settings::describe(&self.options, &Topic::ALL)
    }

    /// Makes the clients, whatever topics there are; the brokers are asked at the first call.
    ///
    /// # Errors
    /// [`LogError::Refused`] when a setting is wrong.
    pub fn connect(options: KafkaOptions) -> Result<KafkaLog, LogError> {
        options.check()?;
        let options = Arc::new(options);
        let cluster = Arc::new(cluster::Cluster::new(Arc::clone(&options))?);
        let readers = Arc::new(reader::Readers::new(Arc::clone(&cluster)));
        let producer = producer::Producer::open(&options)?;
        Ok(KafkaLog { options, cluster, readers, producer })
    }

    /// The topics that are not there.
    pub fn missing_topics(&self) -> Result<Vec<Topic>, LogError> {
        Ok(self.cluster.list()?.missing)
    }

    /// The commands that make the missing topics.
    pub fn topic_commands(&self, max_age: Duration) -> Result<Vec<String>, LogError> {
        Ok(self.plans(max_age)?.iter().map(|plan| plan.command(&self.options)).collect())
    }

    /// Makes the missing topics; raw records are kept for `max_age`.
    pub fn create_topics(&self, max_age: Duration) -> Result<(), LogError> {
        topics::create(&self.options, &self.plans(max_age)?)?;
        self.wait_for_topics()
    }

    /// Removes the three topics with all their records. For measurements and tests.
    pub fn delete_topics(&self) -> Result<(), LogError> {
        topics::delete(&self.options)
    }

    fn plans(&self, max_age: Duration) -> Result<Vec<topics::TopicPlan>, LogError> {
        let listed = self.cluster.list()?;
        let plan = |topic: &Topic| topics::TopicPlan::new(&self.options, *topic, listed.brokers, max_age);
        Ok(listed.missing.iter().map(plan).collect())
    }

    /// A topic that was just made is not known to every broker at once.
    fn wait_for_topics(&self) -> Result<(), LogError> {
        let started = std::time::Instant::now();
        loop {
            let missing = self.cluster.list()?.missing;
            match missing.first() {
                None => return Ok(()),
                Some(missing) if started.elapsed() >= options::BROKER_TIMEOUT => {
                    return Err(failure::missing_topic(&self.options, Some(*missing)));
                }
                Some(_) => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    }
}

impl EventLog for KafkaLog {
    fn identity(&self) -> Result<LogIdentity, LogError> {
        let id = format!("kafka:{}/{}", self.cluster.id()?, self.options.topic_prefix);
        Ok(LogIdentity { id, epoch: 0 })
    }

    fn append(
        &self,
        topic: Topic,
        records: Records,
        position: Option<SourcePosition>,
    ) -> Result<AppendTicket, LogError> {
        self.producer.append(topic, &records, position)
    }

    fn ranges(&self, topic: Topic) -> Result<Vec<PartitionRange>, LogError> {
        self.cluster.ranges(topic)
    }

    fn read(
        &self,
        topic: Topic,
        partition: u32,
        from: Offset,
        max_bytes: usize,
    ) -> Result<Vec<RecordBatch>, LogError> {
        self.readers.read(topic, partition, from, max_bytes)
    }

    fn consume(&self, topic: Topic) -> Result<Box<dyn Consumer>, LogError> {
        let (cluster, readers) = (Arc::clone(&self.cluster), Arc::clone(&self.readers));
        Ok(Box::new(consumer::KafkaConsumer::join(cluster, readers, topic)?))
    }

    /// Members of the topic's consumer group.
    fn consumers(&self, topic: Topic) -> Result<Option<usize>, LogError> {
        self.cluster.members(topic).map(Some)
    }

    fn source_position(&self, source: &str) -> Result<Option<u64>, LogError> {
        self.producer.positions().of(source)
    }

    /// Nothing: how long a topic keeps its records is a setting of the topic (`retention.ms`).
    fn retire(
        &self,
        _policy: RetentionPolicy,
        _floors: &[(Topic, u32, Offset)],
    ) -> Result<Retired, LogError> {
        Ok(Retired::default())
    }

    fn location(&self) -> String {
        self.options.place()
    }
}
