//! The configuration: one typed struct, read once, validated whole.
//!
//! Defaults, then `adpipe.toml`, then `ADPIPE_*` variables, then flags. What is wrong is refused
//! with its file and line, or with its variable.

mod alerts;
mod dlq;
mod error;
mod event;
mod kafka;
mod load;
mod notify;
mod origin;
mod places;
pub mod suggest;
mod units;

use serde::{Deserialize, Serialize};

pub use adpipe_runtime::Span;
pub use alerts::{AlertsConfig, DEFAULT_RULES_FILE};
pub use dlq::DlqConfig;
pub use error::ConfigError;
pub use event::{EventConfig, Written};
pub use kafka::KafkaSettings;
pub use load::load;
pub use notify::{DEFAULT_SLACK_CONFIG, NotifyConfig};
pub use origin::{Origin, Origins};
pub use places::{check_archive_folder, embedded_folder};
pub use units::{HotWindow, Size};

/// Everything that can be configured; `adpipe.toml` explains each key.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub log: LogConfig,
    pub warehouse: WarehouseConfig,
    /// What is kept, for how long.
    pub retention: RetentionConfig,
    /// What is read as an event.
    pub event: EventConfig,
    pub ingest: IngestConfig,
    pub stream: StreamSettings,
    pub etl: EtlSettings,
    pub archive: ArchiveSettings,
    pub dlq: DlqConfig,
    /// Statements of people.
    pub sql: SqlSettings,
    pub scheduler: SchedulerSettings,
    pub console: ConsoleSettings,
    /// Figures for scrapers.
    pub metrics: MetricsSettings,
    pub alerts: AlertsConfig,
    pub transform: TransformConfig,
    /// Messages to Slack.
    pub notify: NotifyConfig,
    /// Flags with which another `adpipe` works on the same data: those this one was given.
    #[serde(skip)]
    pub flags: Vec<std::ffi::OsString>,
    /// What set each value that is not a default.
    #[serde(skip)]
    pub origins: Origins,
}

impl Config {
    /// The rules that events are judged by.
    pub fn event_rules(&self) -> adpipe_event::Rules {
        adpipe_event::Rules {
            max_future_ms: self.stream.max_future.0.as_millis() as i64,
            fields: self.event.fields.map().clone(),
        }
    }

    /// The same with every secret hidden, for people to look at.
    pub fn redacted(&self) -> Config {
        let mut shown = self.clone();
        shown.log.kafka = self.log.kafka.redacted();
        // A URL from the environment may hold a password.
        shown.warehouse.url = adpipe_warehouse::postgres::masked(&self.warehouse.url);
        shown
    }
}

/// Section `[log]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    pub url: String,
    pub max_age: Span,
    pub max_size: Size,
    pub topic_prefix: String,
    pub kafka: KafkaSettings,
}

impl Default for LogConfig {
    fn default() -> LogConfig {
        LogConfig {
            url: "sqlite:data".to_owned(),
            max_age: Span::days(7),
            max_size: Size::gib(10),
            topic_prefix: String::new(),
            kafka: KafkaSettings::default(),
        }
    }
}

/// Section `[warehouse]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WarehouseConfig {
    pub url: String,
    pub password_file: String,
    pub synchronous_commit: bool,
}

impl Default for WarehouseConfig {
    fn default() -> WarehouseConfig {
        WarehouseConfig {
            url: "sqlite:data".to_owned(),
            password_file: String::new(),
            synchronous_commit: true,
        }
    }
}

/// Section `[retention]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetentionConfig {
    pub minutes: Span,
    pub commits: Span,
    pub events: HotWindow,
}

impl Default for RetentionConfig {
    fn default() -> RetentionConfig {
        RetentionConfig { minutes: Span::days(7), commits: Span::days(1), events: HotWindow::Auto }
    }
}

/// Section `[ingest]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IngestConfig {
    pub max_lag_records: u64,
    pub max_body_records: u64,
    pub max_body_errors: u64,
    pub max_record_size: Size,
    pub positions_file: String,
}

impl Default for IngestConfig {
    fn default() -> IngestConfig {
        IngestConfig {
            max_lag_records: 1_000_000,
            max_body_records: 500_000,
            max_body_errors: 10_000,
            max_record_size: Size::mib(1),
            positions_file: "data/ingest.positions".to_owned(),
        }
    }
}

/// Section `[stream]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StreamSettings {
    pub batch_records: u64,
    pub batch_size: Size,
    pub linger: Span,
    pub max_future: Span,
    pub allowed_lateness: Span,
}

impl Default for StreamSettings {
    fn default() -> StreamSettings {
        StreamSettings {
            batch_records: 50_000,
            batch_size: Size::mib(8),
            linger: Span::milliseconds(100),
            max_future: Span::hours(1),
            allowed_lateness: Span::minutes(5),
        }
    }
}

/// Section `[scheduler]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SchedulerSettings {
    pub dags_file: String,
    pub timezone: String,
    pub log_folder: String,
    pub max_tasks: u64,
    pub lease: Span,
    pub keep_runs: Span,
}

/// Where the DAGs are looked for when nothing is configured, and need not be.
pub const DEFAULT_DAGS_FILE: &str = "config/dags.toml";

impl Default for SchedulerSettings {
    fn default() -> SchedulerSettings {
        SchedulerSettings {
            dags_file: DEFAULT_DAGS_FILE.to_owned(),
            timezone: "UTC".to_owned(),
            log_folder: "data/task-logs".to_owned(),
            max_tasks: 4,
            lease: Span::milliseconds(30_000),
            keep_runs: Span::days(30),
        }
    }
}

/// Section `[etl]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EtlSettings {
    pub raw_folder: String,
    pub close_after: Span,
    pub segment_rows: u64,
}

impl Default for EtlSettings {
    fn default() -> EtlSettings {
        EtlSettings { raw_folder: "data/raw".to_owned(), close_after: Span::hours(1), segment_rows: 131_072 }
    }
}

/// Section `[archive]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ArchiveSettings {
    pub url: String,
    pub endpoint: String,
    pub region: String,
    pub access_key_id: String,
    pub secret_access_key_file: String,
    pub allow_http: bool,
    pub merge_files: u64,
}

impl Default for ArchiveSettings {
    fn default() -> ArchiveSettings {
        ArchiveSettings {
            url: "data/processed".to_owned(),
            endpoint: String::new(),
            region: String::new(),
            access_key_id: String::new(),
            secret_access_key_file: String::new(),
            allow_http: false,
            merge_files: 8,
        }
    }
}

/// Section `[sql]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SqlSettings {
    pub timeout: Span,
    pub memory: Size,
}

impl Default for SqlSettings {
    fn default() -> SqlSettings {
        SqlSettings { timeout: Span::minutes(1), memory: Size::mib(256) }
    }
}

/// Section `[console]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConsoleSettings {
    pub host: String,
    pub port: u16,
    pub token_file: String,
    pub max_body_size: Size,
}

impl Default for ConsoleSettings {
    fn default() -> ConsoleSettings {
        ConsoleSettings {
            host: "127.0.0.1".to_owned(),
            port: 8088,
            token_file: String::new(),
            max_body_size: Size::mib(8),
        }
    }
}

/// Section `[metrics]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetricsSettings {
    pub host: String,
    pub port: u16,
}

impl Default for MetricsSettings {
    fn default() -> MetricsSettings {
        MetricsSettings { host: "127.0.0.1".to_owned(), port: 0 }
    }
}

/// Section `[transform]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TransformConfig {
    pub engine: Engine,
    pub project: String,
    pub target: String,
    pub target_path: String,
    pub threads: u64,
    pub dbt: String,
}

impl Default for TransformConfig {
    fn default() -> TransformConfig {
        TransformConfig {
            engine: Engine::Builtin,
            project: String::new(),
            target: String::new(),
            target_path: String::new(),
            threads: 4,
            dbt: "dbt".to_owned(),
        }
    }
}

/// What runs the dbt project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// adpipe itself.
    Builtin,
    /// The real dbt.
    Dbt,
}

#[cfg(test)]
mod tests {
    use super::Config;

    #[test]
    fn adpipe_toml_shows_every_key_with_its_default() {
        let shown: toml::Table = toml::from_str(include_str!("../../../../adpipe.toml")).unwrap();
        let defaults = toml::Table::try_from(Config::default()).unwrap();
        assert_eq!(shown, defaults);
    }
}
