//! Settings of our topics on which a promise rests, as the brokers have them.

use rdkafka::admin::{OwnedResourceSpecifier, ResourceSpecifier};
use rdkafka::error::RDKafkaErrorCode;

use super::failure::{by_code, refused};
use super::options::KafkaOptions;
use super::topics::administer;
use crate::{LogError, Topic};

const CLEANUP: &str = "cleanup.policy";
const TIMESTAMPS: &str = "message.timestamp.type";
pub(super) const LOG_APPEND_TIME: &str = "LogAppendTime";

/// What the brokers say of one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSettings {
    /// The topic that these are settings of.
    pub topic: Topic,
    /// `cleanup.policy`; none when this user may not see it.
    cleanup_policy: Option<String>,
    /// `message.timestamp.type`; none when this user may not see it.
    timestamp_type: Option<String>,
}

impl TopicSettings {
    /// True when the user may not see the settings: the right `DescribeConfigs` is missing.
    pub fn are_hidden(&self) -> bool {
        self.cleanup_policy.is_none()
    }

    /// Compaction removes every record but the newest of each key, counted or not.
    pub fn is_compacted(&self) -> bool {
        let policy = self.cleanup_policy.as_deref().unwrap_or_default();
        policy.split(',').any(|policy| policy.trim() == "compact")
    }

    /// Whether the records' times may be the senders': then what is in the future is decided by
    /// clocks that are not the broker's. The error topic's times decide nothing.
    pub fn has_senders_times(&self) -> bool {
        self.topic != Topic::Error
            && self.timestamp_type.as_deref().is_some_and(|kind| kind != LOG_APPEND_TIME)
    }

    /// The command that ends compaction.
    pub fn uncompact_command(&self, options: &KafkaOptions) -> String {
        alter_command(options, self.topic, CLEANUP, "delete")
    }

    /// The command that has the brokers stamp the records.
    pub fn timestamp_command(&self, options: &KafkaOptions) -> String {
        alter_command(options, self.topic, TIMESTAMPS, LOG_APPEND_TIME)
    }

    /// Why the topic cannot be used, if so.
    pub(super) fn refusal(&self, options: &KafkaOptions) -> Option<LogError> {
        self.is_compacted().then(|| {
            let (name, policy) =
                (options.topic_name(self.topic), self.cleanup_policy.as_deref().unwrap_or_default());
            let reason = format!(
                "topic {name} is compacted ({CLEANUP}={policy}): Kafka would remove records before they are counted"
            );
            refused(options, reason, format!("run `{}`", self.uncompact_command(options)))
        })
    }
}

fn alter_command(options: &KafkaOptions, topic: Topic, key: &str, value: &str) -> String {
    format!(
        "kafka-configs --bootstrap-server {} --alter --entity-type topics --entity-name {} --add-config {key}={value}",
        options.brokers,
        options.topic_name(topic)
    )
}

/// Asks the brokers for the settings of these topics.
pub(super) fn describe(options: &KafkaOptions, topics: &[Topic]) -> Result<Vec<TopicSettings>, LogError> {
    let names: Vec<String> = topics.iter().map(|topic| options.topic_name(*topic)).collect();
    let wanted: Vec<ResourceSpecifier<'_>> =
        names.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
    let answers = administer(options, async |client, how| client.describe_configs(&wanted, how).await)?;
    let mut settings: Vec<TopicSettings> = topics
        .iter()
        .map(|topic| TopicSettings { topic: *topic, cleanup_policy: None, timestamp_type: None })
        .collect();
    for answer in answers {
        let resource = match answer {
            Ok(resource) => resource,
            Err(
                RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::ClusterAuthorizationFailed,
            ) => {
                continue;
            }
            Err(code) => return Err(by_code(options, None, code, None)),
        };
        let OwnedResourceSpecifier::Topic(name) = &resource.specifier else { continue };
        let Some(index) = names.iter().position(|wanted| wanted == name) else { continue };
        let value = |key: &str| resource.get(key).and_then(|entry| entry.value.clone());
        settings[index].cleanup_policy = value(CLEANUP);
        settings[index].timestamp_type = value(TIMESTAMPS);
    }
    Ok(settings)
}
