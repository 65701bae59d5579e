//! Places that go away with the measurement.

use std::path::{Path, PathBuf};

use adpipe_warehouse::postgres::is_postgres;
use anyhow::Context;

use crate::config::Config;
use crate::log_place::LogPlace;
use crate::output;

/// A temporary folder; on Kafka also temporary topics.
pub struct Scratch {
    folder: PathBuf,
    config: Config,
    place: LogPlace,
}

impl Scratch {
    pub fn new(name: &str, config: &Config) -> anyhow::Result<Scratch> {
        let folder = std::env::temp_dir().join(format!("adpipe-bench-{name}-{}", std::process::id()));
        crate::signals::remove_at_end(folder.clone());
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let mut config = config.clone();
        let embedded = format!("sqlite:{}", folder.display());
        if !config.log.url.starts_with("kafka:") {
            config.log.url.clone_from(&embedded);
        }
        config.log.topic_prefix = format!("adpipe-bench-{name}-{}-", std::process::id());
        // A database cannot be made and dropped from here: the user names an empty one.
        if !is_postgres(&config.warehouse.url) {
            config.warehouse.url = embedded;
        }
        config.archive.url = folder.join("processed").display().to_string();
        config.console.port = 0;
        config.ingest.max_lag_records = u64::MAX;
        let place = LogPlace::of(&config)?;
        let mut scratch = Scratch { folder, config, place };
        scratch.make_topics()?;
        Ok(scratch)
    }

    #[cfg(feature = "kafka")]
    fn make_topics(&mut self) -> anyhow::Result<()> {
        if let LogPlace::Kafka(options) = &mut self.place {
            // Not the consumer group of the real topics.
            let group = format!("{}group", options.topic_prefix);
            options.settings.insert("group.id".to_owned(), group.clone());
            self.config.log.kafka.set("group.id", &group);
            adpipe_log::kafka::KafkaLog::connect(options.clone())?
                .create_topics(self.config.log.max_age.0)?;
        }
        Ok(())
    }

    #[cfg(not(feature = "kafka"))]
    fn make_topics(&mut self) -> anyhow::Result<()> {
        Ok(())
    }

    /// The configuration that works there.
    pub fn config(&self) -> Config {
        self.config.clone()
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether the log is in the folder, too.
    pub fn has_embedded_log(&self) -> bool {
        matches!(self.place, LogPlace::Embedded(_))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
        #[cfg(feature = "kafka")]
        if let LogPlace::Kafka(options) = &self.place {
            let removed =
                adpipe_log::kafka::KafkaLog::connect(options.clone()).and_then(|log| log.delete_topics());
            if let Err(error) = removed {
                output::note(&format!(
                    "warning: the topics {}* are still there: {error}",
                    options.topic_prefix
                ));
            }
        }
    }
}
