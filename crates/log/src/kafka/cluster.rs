//! Questions to the cluster: which partitions a topic has, which offsets they hold, which processes
//! read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaResult, RDKafkaErrorCode};

use super::context::{PlainContext, code_of};
use super::failure::{by_code, failure, missing_topic, unavailable};
use super::options::{BROKER_TIMEOUT, KafkaOptions};
use crate::{LogError, Offset, PartitionRange, Topic};

/// A number of partitions is trusted for this long, because partitions may be added.
const FRESH: Duration = Duration::from_secs(10);

/// The first try of a question waits this long, each next one twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// A cause that may pass, as a broker that is just starting, is looked at again for this long.
const MAY_PASS: Duration = Duration::from_secs(4);

/// So many events of a client are looked at after a failed question.
const MOST_TOLD: usize = 64;

/// Topics listed by the cluster, with what adpipe has to know.
#[derive(Debug)]
pub(super) struct Listed {
    pub brokers: usize,
    pub missing: Vec<Topic>,
}

pub(super) struct Cluster {
    pub options: Arc<KafkaOptions>,
    client: BaseConsumer<PlainContext>,
    partition_counts: Mutex<HashMap<Topic, (Instant, u32)>>,
}

impl Cluster {
    /// Creates the client; does not connect yet.
    pub fn new(options: Arc<KafkaOptions>) -> Result<Cluster, LogError> {
        let client = options
            .reader()
            .create_with_context(PlainContext::default())
            .map_err(|error| failure(&options, None, &error, None))?;
        Ok(Cluster { options, client, partition_counts: Mutex::new(HashMap::new()) })
    }

    /// The id that the cluster gave itself.
    pub fn id(&self) -> Result<String, LogError> {
        // A cluster that can be reached answers this first, so that the reason is known if not.
        self.ask(None, |client, wait| {
            client.fetch_metadata(Some(&self.options.topic_name(Topic::Raw)), wait)
        })?;
        self.client.client().fetch_cluster_id(BROKER_TIMEOUT).ok_or_else(|| {
            let reason = "the brokers do not say which cluster they are".to_owned();
            unavailable(&self.options, reason, "use brokers of version 0.10.1 or newer")
        })
    }

    /// Which of our topics are there.
    pub fn list(&self) -> Result<Listed, LogError> {
        let mut missing = Vec::new();
        let mut brokers = 0;
        for topic in Topic::ALL {
            let name = self.options.topic_name(topic);
            let metadata = self.ask(None, |client, wait| client.fetch_metadata(Some(&name), wait))?;
            brokers = metadata.brokers().len();
            let listed = metadata.topics().iter().find(|listed| listed.name() == name);
            match listed.map(|listed| (listed.error().map(code_of), listed.partitions().len())) {
                Some((None, partitions)) if partitions > 0 => {}
                Some((Some(RDKafkaErrorCode::UnknownTopicOrPartition), _)) | Some((None, _)) | None => {
                    missing.push(topic);
                }
                Some((Some(code), _)) => return Err(by_code(&self.options, Some(topic), code, None)),
            }
        }
        Ok(Listed { brokers, missing })
    }

    /// The number of a topic's partitions.
    pub fn partitions(&self, topic: Topic) -> Result<u32, LogError> {
        let known = self.lock_counts().get(&topic).copied();
        if let Some((_, count)) = known.filter(|(asked_at, _)| asked_at.elapsed() < FRESH) {
            return Ok(count);
        }
        let name = self.options.topic_name(topic);
        let metadata = self.ask(Some(topic), |client, wait| client.fetch_metadata(Some(&name), wait))?;
        let listed = metadata.topics().iter().find(|listed| listed.name() == name);
        let listed = listed.ok_or_else(|| missing_topic(&self.options, Some(topic)))?;
        if let Some(error) = listed.error() {
            return Err(by_code(&self.options, Some(topic), code_of(error), None));
        }
        let count = listed.partitions().len() as u32;
        if count == 0 {
            return Err(missing_topic(&self.options, Some(topic)));
        }
        self.lock_counts().insert(topic, (Instant::now(), count));
        Ok(count)
    }

    /// The offsets of one partition. Its end is where the last finished transaction ends.
    pub fn range(&self, topic: Topic, partition: u32) -> Result<PartitionRange, LogError> {
        let name = self.options.topic_name(topic);
        let (low, high) =
            self.ask(Some(topic), |client, wait| client.fetch_watermarks(&name, partition as i32, wait))?;
        let first = Offset(u64::try_from(low).unwrap_or(0));
        Ok(PartitionRange { partition, first, next: Offset(u64::try_from(high).unwrap_or(0)).max(first) })
    }

    /// The offsets of every partition.
    pub fn ranges(&self, topic: Topic) -> Result<Vec<PartitionRange>, LogError> {
        (0..self.partitions(topic)?).map(|partition| self.range(topic, partition)).collect()
    }

    /// Members of a topic's consumer group.
    pub fn members(&self, topic: Topic) -> Result<usize, LogError> {
        let group = self.options.group(topic);
        let list = self.ask(None, |client, wait| client.client().fetch_group_list(Some(&group), wait))?;
        Ok(list.groups().iter().filter(|listed| listed.name() == group).map(|g| g.members().len()).sum())
    }

    /// Asks until there is an answer, a cause that will not pass, or no patience left.
    fn ask<T>(
        &self,
        topic: Option<Topic>,
        question: impl Fn(&BaseConsumer<PlainContext>, Duration) -> KafkaResult<T>,
    ) -> Result<T, LogError> {
        let started = Instant::now();
        let newest_error = &self.client.context().newest_error;
        let mut wait = FIRST_WAIT;
        loop {
            let error =
                match question(&self.client, wait.min(BROKER_TIMEOUT.saturating_sub(started.elapsed()))) {
                    Ok(answer) => {
                        newest_error.forget();
                        return Ok(answer);
                    }
                    Err(error) => error,
                };
            // The client reports what happened in the meantime only when it is polled; a line of its
            // log comes as nothing, and there may be more after it.
            for _ in 0..MOST_TOLD {
                self.client.poll(Duration::ZERO);
            }
            let client_error = newest_error.newest();
            let may_pass_soon = started.elapsed() < MAY_PASS;
            let failed = failure(&self.options, topic, &error, client_error.clone());
            let is_final = match (&failed, &client_error) {
                (LogError::Unavailable { .. }, Some(_)) => !may_pass_soon,
                (LogError::Unavailable { .. }, None) => false,
                _ => true,
            };
            if is_final || started.elapsed() + FIRST_WAIT >= BROKER_TIMEOUT {
                return Err(failed);
            }
            std::thread::sleep(Duration::from_millis(50));
            wait = (wait * 2).min(BROKER_TIMEOUT.saturating_sub(started.elapsed()));
        }
    }

    fn lock_counts(&self) -> std::sync::MutexGuard<'_, HashMap<Topic, (Instant, u32)>> {
        self.partition_counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
