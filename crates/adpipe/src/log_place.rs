//! Where the event log is, as the configuration names it.

use std::path::PathBuf;

#[cfg(feature = "kafka")]
use adpipe_log::kafka::KafkaOptions;

use crate::config::{Config, ConfigError, embedded_folder};

/// Either of the two back ends.
pub enum LogPlace {
    /// In a folder of this machine.
    Embedded(PathBuf),
    #[cfg(feature = "kafka")]
    Kafka(KafkaOptions),
}

impl LogPlace {
    /// Reads `log.url` and what belongs to it.
    pub fn of(config: &Config) -> Result<LogPlace, ConfigError> {
        let wrong = |key, message| Err(ConfigError::Key { key, message });
        let url = &config.log.url;
        if !url.starts_with("kafka:") {
            return embedded_folder("log.url", url).map(LogPlace::Embedded);
        }
        #[cfg(not(feature = "kafka"))]
        return wrong(
            "log.url",
            "this adpipe is built without Kafka; build it with `--features kafka`".to_owned(),
        );
        #[cfg(feature = "kafka")]
        {
            let positions_file = PathBuf::from(&config.ingest.positions_file);
            let Some(mut options) = KafkaOptions::from_url(url, positions_file) else {
                let message =
                    "write \"kafka://HOST:PORT[,HOST:PORT]\"; users and passwords belong in [log.kafka]";
                return wrong("log.url", message.to_owned());
            };
            options.topic_prefix = config.log.topic_prefix.clone();
            options.max_record_bytes = config.ingest.max_record_size.bytes();
            options.settings = match config.log.kafka.resolved() {
                Ok(settings) => settings,
                Err(message) => return wrong("log.kafka", message),
            };
            Ok(LogPlace::Kafka(options))
        }
    }
}
