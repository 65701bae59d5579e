//! Opens what the configuration names, looks whether it fits together (`stores.rs`), and runs roles.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use adpipe_batch::Archive;
use adpipe_dlq::Dlq;
#[cfg(feature = "kafka")]
use adpipe_log::kafka::KafkaLog;
use adpipe_log::sqlite::SqliteLog;
use adpipe_log::{EventLog, Topic};
use adpipe_metrics::Metrics;
use adpipe_runtime::RoleLock;
use adpipe_runtime::Shutdown;
use adpipe_stores::Stores;
use adpipe_stream::housekeeping::Retention;
use adpipe_stream::{StreamConfig, StreamError};
use adpipe_warehouse::guarded::GuardedWarehouse;
use adpipe_warehouse::{Schema, Warehouse, identity};
use anyhow::{Context, bail};

use crate::archive_place;
use crate::config::{Config, ConfigError};
use crate::log_place::LogPlace;
use crate::warehouse_place::WarehousePlace;

/// This program's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The opened back ends.
pub struct Services {
    pub config: Config,
    pub log: Arc<dyn EventLog>,
    /// Guarded: a store that does not fit the others cannot be written to.
    pub warehouse: Arc<dyn Warehouse>,
    pub archive: Archive,
    pub metrics: Metrics,
    pub(crate) guard: Arc<GuardedWarehouse>,
    /// The same log where it is ours to raise past its consumers.
    pub(crate) own_log: Option<Arc<SqliteLog>>,
    /// How the stores stood when they were last looked at.
    pub(crate) stores: Mutex<Stores>,
}

/// Held by the process that plays a role.
#[derive(Debug)]
pub struct HeldRole {
    _lock: Option<RoleLock>,
}

impl Services {
    /// Opens log and warehouse, making them when they are not there, and settles how they stand to
    /// each other.
    ///
    /// # Errors
    /// When one of them cannot be used, or the log is not the one that the others know. Stores of the
    /// warehouse that do not fit are stopped; the rest continues.
    pub fn open(config: Config) -> anyhow::Result<Services> {
        let services = Services::open_unsettled(config)?;
        services.settle()?;
        Ok(services)
    }

    /// The same without comparing anything: for commands that show or settle it themselves.
    pub fn open_unsettled(config: Config) -> anyhow::Result<Services> {
        let place = LogPlace::of(&config)?;
        tighten(&config);
        let archive = archive_place::open(&config)?;
        let guard = Arc::new(GuardedWarehouse::new(WarehousePlace::of(&config)?.open()?));
        let (log, own_log): (Arc<dyn EventLog>, _) = match place {
            LogPlace::Embedded(folder) => {
                let log = Arc::new(SqliteLog::open(&folder)?);
                (Arc::clone(&log) as Arc<dyn EventLog>, Some(log))
            }
            #[cfg(feature = "kafka")]
            LogPlace::Kafka(options) => (Arc::new(KafkaLog::open(options)?), None),
        };
        Ok(Services {
            config,
            log,
            warehouse: Arc::clone(&guard) as Arc<dyn Warehouse>,
            archive,
            metrics: Metrics::new(VERSION)?,
            guard,
            own_log,
            stores: Mutex::default(),
        })
    }

    /// Opens existing data; if there is none, says what to do. If the log is missing although the
    /// warehouse knows one, a command that only works with existing data does not create a new log: it
    /// was probably pointed to the wrong place.
    pub fn open_existing(config: Config) -> anyhow::Result<Services> {
        let warehouse = WarehousePlace::of(&config)?;
        warehouse.must_have_data()?;
        if let LogPlace::Embedded(folder) = LogPlace::of(&config)?
            && !folder.join("log.db").exists()
            && identity::peers(warehouse.open()?.as_ref(), Schema::Realtime)?
                .iter()
                .any(|peer| peer.store == "log")
        {
            bail!(
                "there is no log.db in {}, but the warehouse knows one; correct log.url, put log.db back, or \
                 start `adpipe up` to continue with a new one",
                folder.display()
            );
        }
        Services::open(config)
    }

    /// The same for commands that only read, whatever does not fit. Looking makes no log that would
    /// then count as whole.
    pub fn open_to_look(config: Config) -> anyhow::Result<Services> {
        WarehousePlace::of(&config)?.must_have_data()?;
        // Without the other kind of log there is nothing else to match.
        #[allow(irrefutable_let_patterns)]
        if let LogPlace::Embedded(folder) = LogPlace::of(&config)?
            && !folder.join("log.db").exists()
        {
            bail!(
                "{} has no log.db; put it back, check that log.url names the right folder, or start `adpipe \
                 up` to continue with a new one",
                folder.display()
            );
        }
        Services::open_unsettled(config)
    }

    /// The warehouse for commands that need no log, guarded where one is at hand to compare with.
    pub fn open_warehouse(config: &Config) -> anyhow::Result<Arc<dyn Warehouse>> {
        match LogPlace::of(config)? {
            LogPlace::Embedded(folder) if folder.join("log.db").exists() => {
                Ok(Services::open(config.clone())?.warehouse)
            }
            _ => WarehousePlace::of(config)?.open(),
        }
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

    /// Takes the stream processor's role only if no other process has it or shares in it.
    pub fn take_vacant_stream_role(&self) -> anyhow::Result<Option<HeldRole>> {
        match self.log.consumers(Topic::Raw)? {
            Some(consumers) if consumers > 0 => Ok(None),
            _ => self.take_stream_role(),
        }
    }

    /// Takes the dead-letter queue's role only if no other process has it. Any number of processes may
    /// keep one queue; this is for commands that need it kept and would rather leave it to another
    /// process.
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
            fields: self.config.event.fields.map().clone(),
            allowed_lateness: stream.allowed_lateness.0,
            archive: Some(Arc::new(self.archive.clone())),
        }
    }

    /// The dead-letter queue.
    pub fn dlq(&self) -> Result<Dlq, ConfigError> {
        let settings = self.config.dlq.settings(&self.config.stream, self.config.event.fields.map())?;
        Ok(Dlq::new(settings, Arc::clone(&self.log), Arc::clone(&self.warehouse), self.metrics.clone()))
    }

    /// What is kept for how long.
    pub fn retention(&self) -> Retention {
        retention_of(&self.config)
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
            Some(&self.archive),
            &self.metrics,
            shutdown,
        );
    }
}

/// What a configuration keeps for how long.
pub fn retention_of(config: &Config) -> Retention {
    Retention {
        log: adpipe_log::RetentionPolicy { max_age: config.log.max_age.0, max_bytes: config.log.max_size.0 },
        warehouse: adpipe_warehouse::RetentionPolicy {
            minutes: config.retention.minutes.0,
            commits: config.retention.commits.0,
            events: config.retention.events.of(&config.warehouse.url),
        },
    }
}

/// Task logs and waiting messages are their user's alone, those of before too.
fn tighten(config: &Config) {
    for folder in [&config.scheduler.log_folder, &config.notify.spool] {
        let folder = Path::new(folder);
        if folder.is_dir() {
            // It is there: only its mode changes.
            let _ = adpipe_sql::private::own_folder(folder);
        }
    }
}

/// The folder where role locks lie: the embedded log's, or the embedded warehouse's next to it, as two
/// processors of one such log would do the same work. On Kafka there is none, and none is needed: the
/// consumer group shares the work, and commits fence each other in any case.
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
        format!("cannot create {}; make the folder writable", folder.join(format!("{role}.lock")).display())
    })
}
