//! What a Kafka log is opened with.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

use crate::{LogError, Topic};

/// Every call that needs a broker gives up after this long.
pub(super) const BROKER_TIMEOUT: Duration = Duration::from_secs(10);

/// Name of the consumer group when the settings have no `group.id`.
pub const DEFAULT_GROUP: &str = "adpipe-stream";

/// Settings on which the promise "no event is lost or counted twice" rests.
const OURS: [&str; 16] = [
    "acks",
    "allow.auto.create.topics",
    "auto.offset.reset",
    "bootstrap.servers",
    "check.crcs",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.idempotence",
    "enable.partition.eof",
    "group.protocol",
    "isolation.level",
    "metadata.broker.list",
    "partition.assignment.strategy",
    "partitioner",
    "request.required.acks",
    "transactional.id",
];

/// Settings whose values must not be shown.
const SECRET_PARTS: [&str; 5] = ["password", "secret", ".pem", "oauthbearer.config", "assertion.private"];

/// True for a setting whose value is a secret.
pub fn is_secret(setting: &str) -> bool {
    SECRET_PARTS.iter().any(|part| setting.contains(part))
}

/// How to reach and use a Kafka cluster.
#[derive(Clone)]
pub struct KafkaOptions {
    /// `host:port`, several with commas between.
    pub brokers: String,
    /// Settings handed to librdkafka as they are (`security.protocol`, `sasl.*`, `ssl.*` …).
    pub settings: BTreeMap<String, String>,
    /// Goes before each topic's name: for several pipelines on one cluster.
    pub topic_prefix: String,
    /// Largest payload that will be sent.
    pub max_record_bytes: usize,
    /// Where sources' positions are kept, as Kafka cannot keep them with the records.
    pub positions_file: PathBuf,
}

/// What a record has next to its payload: key and headers, a CSV header line among them.
const BESIDE_PAYLOAD_BYTES: usize = 256 << 10;

/// Kafka's own limit, 1 MiB with all that surrounds a record, is less than adpipe's longest record.
const LEAST_MESSAGE_BYTES: usize = 2 << 20;

impl KafkaOptions {
    /// Options for `kafka://host:port[,host:port …]`; none if the URL is not one.
    pub fn from_url(url: &str, positions_file: PathBuf) -> Option<KafkaOptions> {
        let brokers = url.strip_prefix("kafka://")?.trim_end_matches('/');
        let is_broker = |broker: &str| {
            broker.rsplit_once(':').is_some_and(|(host, port)| {
                !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
            })
        };
        // Neither users and passwords nor paths belong here: they would show up in messages.
        let is_plain = !brokers.contains(['@', '/', '?']);
        (is_plain && brokers.split(',').all(is_broker)).then(|| KafkaOptions {
            brokers: brokers.to_owned(),
            settings: BTreeMap::new(),
            topic_prefix: String::new(),
            max_record_bytes: 1 << 20,
            positions_file,
        })
    }

    /// The topic's name on the cluster.
    pub fn topic_name(&self, topic: Topic) -> String {
        format!("{}{}", self.topic_prefix, topic.name())
    }

    /// The consumer group that shares a topic: `group.id` for the raw one, and with `-error` or
    /// `-retry` after it for the others. Members of one group must all read the same topics, otherwise
    /// a process that joins for one topic makes the readers of the others pause.
    pub fn group(&self, topic: Topic) -> String {
        let name = self.settings.get("group.id").map_or(DEFAULT_GROUP, String::as_str);
        match topic {
            Topic::Raw => name.to_owned(),
            Topic::Error => format!("{name}-error"),
            Topic::Retry => format!("{name}-retry"),
        }
    }

    /// The largest message, for producers and topics alike.
    pub(super) fn max_message_bytes(&self) -> usize {
        (self.max_record_bytes + BESIDE_PAYLOAD_BYTES).max(LEAST_MESSAGE_BYTES)
    }

    /// Where the log is, for people.
    pub(super) fn place(&self) -> String {
        format!("kafka://{}", self.brokers)
    }

    /// Refuses settings that would break a promise.
    pub(super) fn check(&self) -> Result<(), LogError> {
        let ours = self.settings.keys().find(|key| OURS.contains(&key.as_str()));
        ours.map_or(Ok(()), |key| {
            Err(LogError::Refused {
                place: self.place(),
                reason: format!("the setting {key:?} is adpipe's own: exact counts depend on it"),
                advice: "remove it from [log.kafka]".into(),
            })
        })
    }

    /// What every client has in common. Settings that only a consumer or only a producer has
    /// are of no use to the other, and librdkafka would say so at each start.
    fn common(&self, is_consumer: bool) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", "adpipe")
            .set("topic.metadata.refresh.interval.ms", "30000")
            .set("reconnect.backoff.max.ms", "1000")
            .set("socket.connection.setup.timeout.ms", "5000")
            .set_log_level(RDKafkaLogLevel::Info);
        for (key, value) in &self.settings {
            if is_consumer || !is_consumer_only(key) {
                config.set(key, value);
            }
        }
        config
    }

    pub(super) fn producer(&self) -> ClientConfig {
        let mut config = self.common(false);
        set_unless_given(&mut config, "compression.type", "zstd");
        set_unless_given(&mut config, "linger.ms", "5");
        set_unless_given(&mut config, "batch.size", "1000000");
        set_unless_given(&mut config, "message.max.bytes", &self.max_message_bytes().to_string());
        set_unless_given(&mut config, "message.timeout.ms", &BROKER_TIMEOUT.as_millis().to_string());
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            // What Java's own producer does with keys, so that an id gets the same partition whatever
            // sends it.
            .set("partitioner", "murmur2_random")
            // Ours is the bound on what waits (`producer.rs`); this one only has to be larger.
            .set("queue.buffering.max.messages", "2000000")
            .set("queue.buffering.max.kbytes", "524288");
        config
    }

    fn consumer(&self) -> ClientConfig {
        let mut config = self.common(true);
        set_unless_given(&mut config, "fetch.wait.max.ms", "100");
        set_unless_given(&mut config, "queued.max.messages.kbytes", "32768");
        config
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("allow.auto.create.topics", "false")
            // Records that should be there and are not must never be skipped silently.
            .set("auto.offset.reset", "error")
            // A broker sends what is on its disk without checking it again.
            .set("check.crcs", "true")
            .set("enable.partition.eof", "true")
            .set("isolation.level", "read_committed");
        config
    }

    /// For a member of the consumer group.
    pub(super) fn group_consumer(&self, topic: Topic) -> ClientConfig {
        let mut config = self.consumer();
        config.set("group.id", self.group(topic)).set("partition.assignment.strategy", "range,roundrobin");
        config
    }

    /// For a consumer with assigned partitions that joins no group.
    pub(super) fn reader(&self) -> ClientConfig {
        let mut config = self.consumer();
        config.remove("group.id");
        config.set("queued.max.messages.kbytes", "8192");
        config
    }

    pub(super) fn admin(&self) -> ClientConfig {
        self.common(false)
    }
}

impl std::fmt::Debug for KafkaOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The settings may hold secrets.
        write!(f, "KafkaOptions({}, prefix {:?})", self.place(), self.topic_prefix)
    }
}

fn set_unless_given(config: &mut ClientConfig, key: &str, value: &str) {
    if config.get(key).is_none() {
        config.set(key, value);
    }
}

fn is_consumer_only(key: &str) -> bool {
    const PREFIXES: [&str; 7] =
        ["group.", "session.", "heartbeat.", "max.poll.", "fetch.", "queued.", "coordinator."];
    PREFIXES.iter().any(|prefix| key.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(url: &str) -> Option<KafkaOptions> {
        KafkaOptions::from_url(url, PathBuf::from("ingest.json"))
    }

    #[test]
    fn urls_name_brokers_and_nothing_else() {
        assert_eq!(options("kafka://a:9092,b:9093/").unwrap().brokers, "a:9092,b:9093");
        for wrong in [
            "sqlite:data",
            "kafka://",
            "kafka://a",
            "kafka://a:b",
            "kafka://u:p@a:1",
            "kafka://a:9/t",
            "kafka://a:0",
        ] {
            assert!(options(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn settings_that_break_the_promise_are_refused() {
        let mut options = options("kafka://a:9092").unwrap();
        options.settings.insert("sasl.password".to_owned(), "hunter2".to_owned());
        assert!(options.check().is_ok());
        assert!(!format!("{options:?}").contains("hunter2"));
        options.settings.insert("acks".to_owned(), "1".to_owned());
        assert!(options.check().unwrap_err().to_string().contains("\"acks\""));
        assert!(is_secret("sasl.password") && is_secret("ssl.key.pem") && !is_secret("sasl.username"));
    }
}
