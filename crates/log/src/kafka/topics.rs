//! Making the three topics, and the commands that do the same.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::error::{KafkaResult, RDKafkaErrorCode};

use super::context::PlainContext;
use super::failure::{by_code, failure};
use super::options::{BROKER_TIMEOUT, KafkaOptions};
use super::settings::LOG_APPEND_TIME;
use crate::{LogError, Topic};

/// Replicas of a topic where the cluster has enough brokers.
const REPLICAS: usize = 3;

/// Kafka's word for "for good".
const FOR_GOOD: &str = "-1";

/// What a topic is made with.
pub(super) struct TopicPlan {
    name: String,
    partitions: u32,
    replicas: usize,
    settings: Vec<(&'static str, String)>,
}

impl TopicPlan {
    pub fn new(options: &KafkaOptions, topic: Topic, brokers: usize, max_age: Duration) -> TopicPlan {
        let replicas = brokers.clamp(1, REPLICAS);
        // `verify` looks for every error that was ever counted, as it does in the embedded log.
        let kept = match topic {
            Topic::Raw | Topic::Retry => max_age.as_millis().to_string(),
            Topic::Error => FOR_GOOD.to_owned(),
        };
        TopicPlan {
            name: options.topic_name(topic),
            partitions: topic.default_partitions(),
            replicas,
            settings: vec![
                ("cleanup.policy", "delete".to_owned()),
                ("compression.type", "producer".to_owned()),
                ("max.message.bytes", options.max_message_bytes().to_string()),
                // What is in the future is decided by the time when a record came.
                ("message.timestamp.type", LOG_APPEND_TIME.to_owned()),
                // With three replicas one broker may be down, and an acknowledged record is still on
                // two.
                ("min.insync.replicas", if replicas >= REPLICAS { "2" } else { "1" }.to_owned()),
                ("retention.ms", kept),
            ],
        }
    }

    /// The command that makes the topic.
    pub fn command(&self, options: &KafkaOptions) -> String {
        let mut command = format!(
            "kafka-topics --bootstrap-server {} --create --topic {} --partitions {} --replication-factor {}",
            options.brokers, self.name, self.partitions, self.replicas
        );
        for (key, value) in &self.settings {
            command.push_str(&format!(" --config {key}={value}"));
        }
        command
    }
}

/// Makes the topics. One that is there already is left as it is.
pub(super) fn create(options: &KafkaOptions, plans: &[TopicPlan]) -> Result<(), LogError> {
    let new_topics: Vec<NewTopic<'_>> = plans
        .iter()
        .map(|plan| {
            let replication = TopicReplication::Fixed(plan.replicas as i32);
            let topic = NewTopic::new(&plan.name, plan.partitions as i32, replication);
            plan.settings.iter().fold(topic, |topic, (key, value)| topic.set(key, value))
        })
        .collect();
    let results = administer(options, async |client, how| client.create_topics(&new_topics, how).await)?;
    for result in results {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((_, code)) => return Err(by_code(options, None, code, None)),
        }
    }
    Ok(())
}

/// Removes the three topics with all their records.
pub(super) fn delete(options: &KafkaOptions) -> Result<(), LogError> {
    let names = Topic::ALL.map(|topic| options.topic_name(topic));
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let results = administer(options, async |client, how| client.delete_topics(&names, how).await)?;
    for result in results {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::UnknownTopicOrPartition)) => {}
            Err((_, code)) => return Err(by_code(options, None, code, None)),
        }
    }
    Ok(())
}

pub(super) fn administer<T>(
    options: &KafkaOptions,
    work: impl AsyncFnOnce(&AdminClient<PlainContext>, &AdminOptions) -> KafkaResult<T>,
) -> Result<T, LogError> {
    let client: AdminClient<PlainContext> = options
        .admin()
        .create_with_context(PlainContext::default())
        .map_err(|error| failure(options, None, &error, None))?;
    let how =
        AdminOptions::new().request_timeout(Some(BROKER_TIMEOUT)).operation_timeout(Some(BROKER_TIMEOUT));
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(|error| {
        super::failure::unavailable(options, error.to_string(), "check the limits on threads and memory")
    })?;
    runtime
        .block_on(work(&client, &how))
        .map_err(|error| failure(options, None, &error, client.inner().context().newest_error.newest()))
}
