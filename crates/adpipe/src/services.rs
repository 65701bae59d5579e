//! Opens what the configuration names and starts the roles.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use adpipe_batch::Archive;
use adpipe_dlq::Dlq;
#[cfg(feature = "kafka")]
use adpipe_log::kafka::{KafkaLog, KafkaOptions};
use adpipe_log::sqlite::SqliteLog;
use adpipe_log::{EventLog, Offset, Topic};
use adpipe_metrics::Metrics;
use adpipe_stream::housekeeping::Retention;
use adpipe_stream::role_lock::RoleLock;
use adpipe_stream::shutdown::Shutdown;
use adpipe_stream::{StreamConfig, StreamError};
use adpipe_warehouse::Warehouse;
use anyhow::Context;

use crate::archive_place;
use crate::config::{Config, ConfigError};
use crate::warehouse_place::WarehousePlace;

/// This program's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The opened back ends.
pub struct Services {
    pub config: Config,
    pub log: Arc<dyn EventLog>,
    pub warehouse: Arc<dyn Warehouse>,
    pub archive: Archive,
    pub metrics: Metrics,
}

/// The folder of an embedded back end.
pub fn embedded_folder(key: &'static str, url: &str) -> Result<PathBuf, ConfigError> {
    match url.split_once(':') {
        Some(("sqlite", folder)) if !folder.is_empty() => Ok(PathBuf::from(folder)),
        _ => Err(ConfigError::Key {
            key,
            message: match key {
                "warehouse.url" => format!(
                    "{:?} is not understood; this adpipe knows \"sqlite:FOLDER\" and \"postgres://USER@HOST:5432/DATABASE\"",
                    adpipe_warehouse::postgres::masked(url)
                ),
                _ => format!("{url:?} is not understood; this adpipe knows \"sqlite:FOLDER\""),
            },
        }),
    }
}

/// Where the configuration has the event log.
pub enum LogPlace {
    /// In a folder of this machine.
    Embedded(PathBuf),
    /// On a Kafka cluster.
    #[cfg(feature = "kafka")]
    Kafka(KafkaOptions),
}

impl LogPlace {
    /// Reads `log.url` and what belongs to it.
    pub fn of(config: &Config) -> Result<LogPlace, ConfigError> {
        let wrong = |key, message| Err(ConfigError::Key { key, message });
        let url = &config.log.url;
        if !url.starts_with("kafka:") {
            return match embedded_folder("log.url", url) {
                Ok(folder) => Ok(LogPlace::Embedded(folder)),
                Err(_) => wrong(
                    "log.url",
                    format!(
                        "{url:?} is not understood; write \"sqlite:FOLDER\" or \"kafka://HOST:PORT[,HOST:PORT]\""
                    ),
                ),
            };
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
                    "write \"kafka://HOST:PORT[,HOST:PORT]\"; users and passwords belong into [log.kafka]";
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

/// Held by who plays a role.
#[derive(Debug)]
pub struct HeldRole {
    _lock: Option<RoleLock>,
}

impl Services {
    /// Opens log and warehouse, making them when they are not there.
    pub fn open(config: Config) -> anyhow::Result<Services> {
        let place = LogPlace::of(&config)?;
        let archive = archive_place::open(&config)?;
        let warehouse = WarehousePlace::of(&config)?.open()?;
        let log: Arc<dyn EventLog> = match place {
            LogPlace::Embedded(folder) => {
                let log = SqliteLog::open(&folder)?;
                adopt_offsets(&log, warehouse.as_ref())?;
                Arc::new(log)
            }
            #[cfg(feature = "kafka")]
            LogPlace::Kafka(options) => Arc::new(KafkaLog::open(options)?),
        };
        Ok(Services { config, log, warehouse, archive, metrics: Metrics::new(VERSION)? })
    }

    /// Opens what is there already; says what to do when nothing is.
    pub fn open_existing(config: Config) -> anyhow::Result<Services> {
        WarehousePlace::of(&config)?.must_have_data()?;
        Services::open(config)
    }

    /// Where this process keeps its data: the embedded log's or warehouse's folder, else that of the
    /// archive. None when there is none on this machine.
    pub fn data_folder(&self) -> anyhow::Result<Option<PathBuf>> {
        Ok(match role_folder(&self.config)? {
            Some(folder) => Some(folder),
            None => Some(PathBuf::from(&self.config.archive.url)).filter(|folder| folder.is_dir()),
        })
    }

    /// Takes the stream processor's role on this data, unless another process has it. On Kafka any
    /// number of processes may: they share the partitions.
    pub fn take_stream_role(&self) -> anyhow::Result<Option<HeldRole>> {
        match role_folder(&self.config)? {
            Some(folder) => Ok(take_role(&folder, "stream")?.map(|lock| HeldRole { _lock: Some(lock) })),
            None => Ok(Some(HeldRole { _lock: None })),
        }
    }

    /// Takes the stream processor's role only when nobody else has it, or shares in it.
    pub fn take_vacant_stream_role(&self) -> anyhow::Result<Option<HeldRole>> {
        match self.log.consumers(Topic::Raw)? {
            Some(consumers) if consumers > 0 => Ok(None),
            _ => self.take_stream_role(),
        }
    }

    /// Takes the dead-letter queue's role only when nobody else has it. Any number of processes may
    /// keep one queue; this is for those who need it kept and would rather leave it to another.
    pub fn take_vacant_dlq_role(&self) -> anyhow::Result<Option<HeldRole>> {
        if self.log.consumers(Topic::Error)?.is_some_and(|consumers| consumers > 0) {
            return Ok(None);
        }
        match role_folder(&self.config)? {
            Some(folder) => Ok(take_role(&folder, "dlq")?.map(|lock| HeldRole { _lock: Some(lock) })),
            None => Ok(Some(HeldRole { _lock: None })),
        }
    }

    /// How the stream processor is to work.
    pub fn stream_config(&self) -> StreamConfig {
        let stream = &self.config.stream;
        StreamConfig {
            batch_records: stream.batch_records as usize,
            batch_bytes: stream.batch_size.bytes(),
            linger: stream.linger.0,
            max_future: stream.max_future.0,
            allowed_lateness: stream.allowed_lateness.0,
            archive: Some(Arc::new(self.archive.clone())),
        }
    }

    /// The dead-letter queue.
    pub fn dlq(&self) -> Result<Dlq, ConfigError> {
        let settings = self.config.dlq.settings(&self.config.stream)?;
        Ok(Dlq::new(settings, Arc::clone(&self.log), Arc::clone(&self.warehouse), self.metrics.clone()))
    }

    /// What is kept for how long.
    pub fn retention(&self) -> Retention {
        Retention {
            log: adpipe_log::RetentionPolicy {
                max_age: self.config.log.max_age.0,
                max_bytes: self.config.log.max_size.0,
            },
            warehouse: adpipe_warehouse::RetentionPolicy {
                minutes: self.config.retention.minutes.0,
                commits: self.config.retention.commits.0,
                events: self.config.retention.events.of(&self.config.warehouse.url),
            },
        }
    }

    /// Runs the stream processor on this thread until the switch is off.
    pub fn run_stream(&self, shutdown: &Shutdown) -> Result<(), StreamError> {
        let config = self.stream_config();
        adpipe_stream::processor::run(
            &config,
            self.log.as_ref(),
            self.warehouse.as_ref(),
            &self.metrics,
            shutdown,
        )
    }

    /// Runs retention and the gauges on this thread until the switch is off.
    pub fn run_housekeeping(&self, shutdown: &Shutdown) {
        adpipe_stream::housekeeping::run(
            self.retention(),
            self.log.as_ref(),
            self.warehouse.as_ref(),
            &self.metrics,
            shutdown,
        );
    }
}

/// A log that is new, or was restored from a copy, goes on behind what the warehouse has counted:
/// else its next records would get offsets that are taken for done.
fn adopt_offsets(log: &SqliteLog, warehouse: &dyn Warehouse) -> anyhow::Result<()> {
    let mut floors = Vec::new();
    for topic in Topic::ALL {
        let offsets = warehouse.offsets(topic.name())?;
        floors.extend(offsets.iter().map(|offset| (topic, offset.partition, Offset(offset.next_offset))));
    }
    let stored = adpipe_warehouse::errors::offsets(warehouse)?;
    floors.extend(stored.iter().map(|offset| (Topic::Error, offset.partition, Offset(offset.next_offset))));
    for raised in log.begin_at_least(&floors)? {
        tracing::warn!(
            topic = raised.topic.name(),
            partition = raised.partition,
            log_ended_at = raised.before.0,
            goes_on_at = raised.goes_on_at.0,
            "the log is older than the warehouse; it goes on behind what was counted"
        );
    }
    Ok(())
}

/// The folder where role locks lie: the embedded log's, or the embedded warehouse's beside it, as
/// two processors of one such log would do the same work. On Kafka there is none, and none is
/// needed: the consumer group shares the work, and commits fence each other in any case.
pub fn role_folder(config: &Config) -> anyhow::Result<Option<PathBuf>> {
    let warehouse = WarehousePlace::of(config)?;
    Ok(match LogPlace::of(config)? {
        LogPlace::Embedded(folder) => Some(warehouse.folder().map_or(folder, Path::to_path_buf)),
        #[cfg(feature = "kafka")]
        LogPlace::Kafka(_) => None,
    })
}

/// Takes a role on an embedded folder.
pub fn take_role(folder: &Path, role: &str) -> anyhow::Result<Option<RoleLock>> {
    RoleLock::take(folder, role).with_context(|| {
        format!("cannot make {}; make the folder writable", folder.join(format!("{role}.lock")).display())
    })
}
