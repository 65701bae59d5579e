//! Kafka's errors as ours: does waiting help, and what is a person to do.

use std::borrow::Cow;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::context::ClientError;
use super::options::KafkaOptions;
use crate::{LogError, Offset, Topic};

/// The message of a connection whose other end requires TLS or a password and hangs up without them.
const HUNG_UP: [&str; 4] = ["isconnected", "Broken pipe", "onnection reset", "SSL"];

/// What an error means. `client_error` is what the client met before: a call that timed out says
/// nothing itself.
pub(super) fn failure(
    options: &KafkaOptions,
    topic: Option<Topic>,
    error: &KafkaError,
    client_error: Option<ClientError>,
) -> LogError {
    match error {
        KafkaError::ClientConfig(_, description, key, _) => {
            refused(options, format!("setting {key:?}: {description}"), advice_on_setting(key, description))
        }
        KafkaError::ClientCreation(reason) => refused(options, reason.clone(), advice_on_setting("", reason)),
        _ => match error.rdkafka_error_code() {
            Some(code) => by_code(options, topic, code, client_error),
            None => unavailable(options, error.to_string(), "try again"),
        },
    }
}

/// What a code means.
pub(super) fn by_code(
    options: &KafkaOptions,
    topic: Option<Topic>,
    code: RDKafkaErrorCode,
    client_error: Option<ClientError>,
) -> LogError {
    use RDKafkaErrorCode as Code;
    let says_nothing = matches!(
        code,
        Code::BrokerTransportFailure
            | Code::OperationTimedOut
            | Code::MessageTimedOut
            | Code::AllBrokersDown
            | Code::RequestTimedOut
    );
    let (code, reason) = match client_error {
        Some(client_error) if says_nothing || client_error.code == code => {
            (client_error.code, client_error.reason)
        }
        _ => (code, code.to_string()),
    };
    let name = topic.map_or_else(|| "the topics".to_owned(), |topic| options.topic_name(topic));
    match code {
        Code::Resolve => unavailable(options, reason, "check the host names in log.url"),
        Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition => {
            missing_topic(options, topic)
        }
        Code::Authentication | Code::SaslAuthenticationFailed => refused(
            options,
            format!("the broker does not accept this user: {reason}"),
            "check sasl.username in [log.kafka] and ADPIPE_LOG__KAFKA__SASL_PASSWORD",
        ),
        Code::TopicAuthorizationFailed => refused(
            options,
            format!("this user has no right to {name}"),
            format!(
                "give it Read, Write and Describe: `kafka-acls --add --allow-principal User:NAME --operation All --topic {name} …`"
            ),
        ),
        Code::GroupAuthorizationFailed => refused(
            options,
            format!(
                "this user has no right to the consumer group {}",
                options.group(topic.unwrap_or(Topic::Raw))
            ),
            format!(
                "give it Read: `kafka-acls --add --allow-principal User:NAME --operation Read --resource-pattern-type prefixed --group {} …`",
                options.group(Topic::Raw)
            ),
        ),
        Code::ClusterAuthorizationFailed => refused(
            options,
            "this user has no right to do that on the cluster".to_owned(),
            "give it Create (for new topics) and IdempotentWrite with kafka-acls",
        ),
        Code::UnsupportedFeature | Code::UnsupportedVersion => {
            refused(options, format!("the broker is too old ({reason})"), "adpipe needs Kafka 0.11 or newer")
        }
        Code::SSL => refused(options, reason, "check the ssl.* settings in [log.kafka]"),
        Code::MessageSizeTooLarge => refused(
            options,
            format!("a record is larger than {name} allows"),
            "raise max.message.bytes of the topic, or lower ingest.max_record_size",
        ),
        Code::InvalidTopic => refused(options, reason, "check log.kafka's topic prefix"),
        Code::NotEnoughReplicas | Code::NotEnoughReplicasAfterAppend => unavailable(
            options,
            reason,
            "start the brokers that are down: too few replicas of the topic are in sync",
        ),
        Code::BrokerTransportFailure if reason.contains("refused") => {
            unavailable(options, reason, "start the broker, or correct host and port in log.url")
        }
        Code::BrokerTransportFailure if HUNG_UP.iter().any(|words| reason.contains(words)) => unavailable(
            options,
            reason,
            "if the broker requires TLS or a password, set \"security.protocol\" in [log.kafka]",
        ),
        _ => unavailable(options, reason, "check that the brokers run and can be reached from here"),
    }
}

/// Whether what came from the brokers is not what was written.
pub(super) fn is_damage(code: Option<RDKafkaErrorCode>) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Some(Code::BadMessage | Code::BadCompression | Code::InvalidMessage | Code::InvalidMessageSize)
    )
}

/// Records whose content is unknown.
pub(super) fn damaged(
    options: &KafkaOptions,
    topic: Topic,
    partition: u32,
    offset: Offset,
    error: &KafkaError,
) -> LogError {
    let name = options.topic_name(topic);
    LogError::Corrupt {
        place: options.place(),
        reason: format!(
            "{name} partition {partition}: records from offset {offset} on are not what was written ({error})"
        ),
        advice: "have the broker copy the partition from an intact replica, or restore its folder".into(),
    }
}

/// A topic that is not there when the log is opened.
pub(super) fn no_topic(options: &KafkaOptions, topic: Topic) -> LogError {
    let (reason, advice) = about_missing(options, topic);
    refused(options, reason, advice)
}

/// A topic that was there and is not found now. A broker that is just starting answers so, too, for a
/// moment, so this may pass.
pub(super) fn missing_topic(options: &KafkaOptions, topic: Option<Topic>) -> LogError {
    let (reason, advice) = about_missing(options, topic.unwrap_or(Topic::Raw));
    unavailable(options, reason, advice)
}

fn about_missing(options: &KafkaOptions, topic: Topic) -> (String, String) {
    let name = options.topic_name(topic);
    let advice = format!(
        "run `adpipe doctor --fix`, or `kafka-topics --bootstrap-server {} --create --topic {name} --partitions {}`",
        options.brokers,
        topic.default_partitions()
    );
    (format!("there is no topic {name}"), advice)
}

pub(super) fn unavailable(
    options: &KafkaOptions,
    reason: String,
    advice: impl Into<Cow<'static, str>>,
) -> LogError {
    LogError::Unavailable { place: options.place(), reason, advice: advice.into() }
}

pub(super) fn refused(
    options: &KafkaOptions,
    reason: String,
    advice: impl Into<Cow<'static, str>>,
) -> LogError {
    LogError::Refused { place: options.place(), reason, advice: advice.into() }
}

fn advice_on_setting(key: &str, description: &str) -> &'static str {
    let wants_tls = description.contains("OpenSSL") || description.contains("not available at build time");
    match key {
        _ if wants_tls => {
            "this adpipe is built without TLS: install libssl-dev and build it with `--features kafka-tls`"
        }
        _ => "correct it in [log.kafka]; librdkafka's CONFIGURATION.md lists all settings",
    }
}
