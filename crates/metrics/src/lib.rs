//! Figures about the running process, in Prometheus' words.
//!
//! [`Metrics`] holds every series; each label combination is there from the start as 0, so that
//! the first increment is never lost to `rate()`. Hot paths count locally and add once a batch.

use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

/// Upper bucket edges of `adpipe_event_latency_seconds`; an edge at exactly 5 answers "over 5 s?".
pub const LATENCY_BUCKETS_S: [f64; 13] =
    [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0];

const HTTP_BUCKETS_S: [f64; 8] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0];

const RUN_BUCKETS_S: [f64; 10] = [1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1_800.0, 3_600.0, 7_200.0, 21_600.0];

/// Every series that a process exports.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    /// `adpipe_records_appended_total{topic}`
    pub records_appended: IntCounterVec,
    /// `adpipe_events_processed_total{outcome}`: `valid`, `invalid`, `duplicate`.
    pub events_processed: IntCounterVec,
    /// `adpipe_etl_rows_total{outcome}`: rows of raw files, as `adpipe_events_processed_total`.
    pub etl_rows: IntCounterVec,
    /// `adpipe_events_invalid_total{error_type}`
    pub events_invalid: IntCounterVec,
    /// `adpipe_late_events_total`
    pub late_events: IntCounter,
    /// `adpipe_event_latency_seconds`: from append to commit.
    pub event_latency: Histogram,
    /// `adpipe_sink_commit_duration_seconds`: one warehouse transaction.
    pub sink_commit_duration: Histogram,
    /// `adpipe_log_lag_records{topic,partition}`
    pub log_lag: IntGaugeVec,
    /// `adpipe_last_commit_timestamp_seconds`
    pub last_commit: Gauge,
    /// `adpipe_dlq_errors{status}`
    pub dlq_errors: IntGaugeVec,
    /// `adpipe_dlq_retries_total{outcome}`: `applied`, `already_counted`, `failed`.
    pub dlq_retries: IntCounterVec,
    /// `adpipe_dlq_oldest_timestamp_seconds`
    pub dlq_oldest: Gauge,
    /// `adpipe_dag_runs_total{dag,state}`: `success`, `failed`, `cancelled`.
    pub dag_runs: IntCounterVec,
    /// `adpipe_dag_run_duration_seconds{dag}`: from the first task's start to the last one's end.
    pub dag_run_duration: HistogramVec,
    /// `adpipe_scheduler_last_success_timestamp_seconds{dag}`
    pub dag_last_success: GaugeVec,
    /// `adpipe_dag_failures{dag}`: failed runs in a row, up to the newest.
    pub dag_failures: IntGaugeVec,
    /// `adpipe_dag_overdue_seconds{dag}`: since when a run should have started; 0 when none should.
    pub dag_overdue: GaugeVec,
    /// `adpipe_data_tests{status}`: newest result of each test: `pass`, `warn`, `fail`, `error`, `skipped`.
    pub data_tests: IntGaugeVec,
    /// `adpipe_source_age_seconds{source}`: since a source got something new.
    pub source_age: GaugeVec,
    /// `adpipe_source_max_age_seconds{source}`: how old it may be.
    pub source_max_age: GaugeVec,
    /// `adpipe_warehouse_up`: 1 when the warehouse answers.
    pub warehouse_up: IntGauge,
    /// `adpipe_disk_free_bytes`: where this process keeps its data.
    pub disk_free: IntGauge,
    /// `adpipe_disk_size_bytes`
    pub disk_size: IntGauge,
    /// `adpipe_alerts{rule,state}`: alerts of adpipe's own evaluation: `pending`, `firing`.
    pub alerts: IntGaugeVec,
    /// `adpipe_notifications_total{kind,outcome}`: messages to Slack.
    pub notifications: IntCounterVec,
    /// `adpipe_notifications_waiting_seconds`: since when the oldest unsent message waits; 0 for none.
    pub notifications_waiting: Gauge,
    /// `adpipe_http_requests_total{route,status}`
    pub http_requests: IntCounterVec,
    /// `adpipe_http_request_duration_seconds{route}`
    pub http_duration: HistogramVec,
}

/// A metric that could not be set up: a fault of ours, caught by the first test.
#[derive(Debug, thiserror::Error)]
#[error("metrics: {0}")]
pub struct MetricsError(#[from] prometheus::Error);

impl Metrics {
    /// Sets up every series at 0.
    ///
    /// # Errors
    /// Only if two series had one name.
    pub fn new(version: &str) -> Result<Metrics, MetricsError> {
        let registry = Registry::new();
        let counters =
            |name: &str, help: &str, label: &str| IntCounterVec::new(Opts::new(name, help), &[label]);
        let metrics = Metrics {
            records_appended: counters(
                "adpipe_records_appended_total",
                "Records that this process made durable in the log.",
                "topic",
            )?,
            events_processed: counters(
                "adpipe_events_processed_total",
                "Records whose outcome is committed.",
                "outcome",
            )?,
            etl_rows: counters("adpipe_etl_rows_total", "Rows of raw files that are committed.", "outcome")?,
            events_invalid: counters(
                "adpipe_events_invalid_total",
                "Records in error, by the type of error.",
                "error_type",
            )?,
            late_events: IntCounter::new(
                "adpipe_late_events_total",
                "Events that came long after their minute; they are counted in it all the same.",
            )?,
            event_latency: Histogram::with_opts(
                HistogramOpts::new(
                    "adpipe_event_latency_seconds",
                    "From the append of a record to the commit of its effects.",
                )
                .buckets(LATENCY_BUCKETS_S.to_vec()),
            )?,
            sink_commit_duration: Histogram::with_opts(
                HistogramOpts::new(
                    "adpipe_sink_commit_duration_seconds",
                    "One transaction of the warehouse.",
                )
                .buckets(LATENCY_BUCKETS_S.to_vec()),
            )?,
            log_lag: IntGaugeVec::new(
                Opts::new("adpipe_log_lag_records", "Records appended and not yet committed."),
                &["topic", "partition"],
            )?,
            last_commit: Gauge::new(
                "adpipe_last_commit_timestamp_seconds",
                "When the stream processor last committed, seconds since the Unix epoch.",
            )?,
            dlq_errors: IntGaugeVec::new(
                Opts::new("adpipe_dlq_errors", "Errors in the dead-letter queue, by status."),
                &["status"],
            )?,
            dlq_retries: counters(
                "adpipe_dlq_retries_total",
                "Retries of the dead-letter queue whose outcome is known.",
                "outcome",
            )?,
            dlq_oldest: Gauge::new(
                "adpipe_dlq_oldest_timestamp_seconds",
                "First failure of the oldest cause that has open errors, seconds since the Unix epoch; 0 for none.",
            )?,
            dag_runs: IntCounterVec::new(
                Opts::new("adpipe_dag_runs_total", "Runs of DAGs that ended."),
                &["dag", "state"],
            )?,
            dag_run_duration: HistogramVec::new(
                HistogramOpts::new("adpipe_dag_run_duration_seconds", "Time that a run of a DAG took.")
                    .buckets(RUN_BUCKETS_S.to_vec()),
                &["dag"],
            )?,
            dag_last_success: GaugeVec::new(
                Opts::new(
                    "adpipe_scheduler_last_success_timestamp_seconds",
                    "When the DAG last succeeded, seconds since the Unix epoch.",
                ),
                &["dag"],
            )?,
            dag_failures: IntGaugeVec::new(
                Opts::new("adpipe_dag_failures", "Failed runs of a DAG in a row, up to its newest."),
                &["dag"],
            )?,
            dag_overdue: GaugeVec::new(
                Opts::new(
                    "adpipe_dag_overdue_seconds",
                    "Since when a run of a DAG should have started; 0 when none should.",
                ),
                &["dag"],
            )?,
            data_tests: IntGaugeVec::new(
                Opts::new("adpipe_data_tests", "Data tests by the status of their newest result."),
                &["status"],
            )?,
            source_age: GaugeVec::new(
                Opts::new("adpipe_source_age_seconds", "Time since a source got something new."),
                &["source"],
            )?,
            source_max_age: GaugeVec::new(
                Opts::new("adpipe_source_max_age_seconds", "How old a source's newest row may be."),
                &["source"],
            )?,
            warehouse_up: IntGauge::new("adpipe_warehouse_up", "1 when the warehouse answers, else 0.")?,
            disk_free: IntGauge::new(
                "adpipe_disk_free_bytes",
                "Free space where this process keeps its data.",
            )?,
            disk_size: IntGauge::new(
                "adpipe_disk_size_bytes",
                "Size of the disk where this process keeps its data.",
            )?,
            alerts: IntGaugeVec::new(
                Opts::new("adpipe_alerts", "Alerts of adpipe's own evaluation."),
                &["rule", "state"],
            )?,
            notifications: IntCounterVec::new(
                Opts::new("adpipe_notifications_total", "Messages to Slack."),
                &["kind", "outcome"],
            )?,
            notifications_waiting: Gauge::new(
                "adpipe_notifications_waiting_seconds",
                "Time that the oldest unsent message to Slack waits; 0 for none.",
            )?,
            http_requests: IntCounterVec::new(
                Opts::new("adpipe_http_requests_total", "HTTP requests answered."),
                &["route", "status"],
            )?,
            http_duration: HistogramVec::new(
                HistogramOpts::new("adpipe_http_request_duration_seconds", "Time to answer a HTTP request.")
                    .buckets(HTTP_BUCKETS_S.to_vec()),
                &["route"],
            )?,
            registry,
        };
        metrics.register(version)?;
        Ok(metrics)
    }

    fn register(&self, version: &str) -> Result<(), MetricsError> {
        let registry = &self.registry;
        registry.register(Box::new(self.records_appended.clone()))?;
        registry.register(Box::new(self.events_processed.clone()))?;
        registry.register(Box::new(self.etl_rows.clone()))?;
        registry.register(Box::new(self.events_invalid.clone()))?;
        registry.register(Box::new(self.late_events.clone()))?;
        registry.register(Box::new(self.event_latency.clone()))?;
        registry.register(Box::new(self.sink_commit_duration.clone()))?;
        registry.register(Box::new(self.log_lag.clone()))?;
        registry.register(Box::new(self.last_commit.clone()))?;
        registry.register(Box::new(self.dlq_errors.clone()))?;
        registry.register(Box::new(self.dlq_retries.clone()))?;
        registry.register(Box::new(self.dlq_oldest.clone()))?;
        registry.register(Box::new(self.dag_runs.clone()))?;
        registry.register(Box::new(self.dag_run_duration.clone()))?;
        registry.register(Box::new(self.dag_last_success.clone()))?;
        registry.register(Box::new(self.dag_failures.clone()))?;
        registry.register(Box::new(self.dag_overdue.clone()))?;
        registry.register(Box::new(self.data_tests.clone()))?;
        registry.register(Box::new(self.source_age.clone()))?;
        registry.register(Box::new(self.source_max_age.clone()))?;
        registry.register(Box::new(self.warehouse_up.clone()))?;
        registry.register(Box::new(self.disk_free.clone()))?;
        registry.register(Box::new(self.disk_size.clone()))?;
        registry.register(Box::new(self.alerts.clone()))?;
        registry.register(Box::new(self.notifications.clone()))?;
        registry.register(Box::new(self.notifications_waiting.clone()))?;
        registry.register(Box::new(self.http_requests.clone()))?;
        registry.register(Box::new(self.http_duration.clone()))?;
        let build_info = IntGaugeVec::new(
            Opts::new("adpipe_build_info", "Always 1; the labels say which adpipe this is."),
            &["version"],
        )?;
        build_info.with_label_values(&[version]).set(1);
        registry.register(Box::new(build_info))?;
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;

        for topic in ["ad_events_raw", "ad_events_error", "ad_events_retry"] {
            self.records_appended.with_label_values(&[topic]);
        }
        for outcome in ["valid", "invalid", "duplicate"] {
            self.events_processed.with_label_values(&[outcome]);
            self.etl_rows.with_label_values(&[outcome]);
        }
        for status in ["pending", "retrying", "exhausted", "resolved", "discarded"] {
            self.dlq_errors.with_label_values(&[status]);
        }
        for outcome in ["applied", "already_counted", "failed"] {
            self.dlq_retries.with_label_values(&[outcome]);
        }
        for status in ["pass", "warn", "fail", "error", "skipped"] {
            self.data_tests.with_label_values(&[status]);
        }
        for error_type in ["parse", "schema", "validation", "future", "sink"] {
            self.events_invalid.with_label_values(&[error_type]);
        }
        Ok(())
    }

    /// Adds `records` that took `seconds`, in one go.
    pub fn observe_latency(&self, seconds: f64, records: u64) {
        let local = self.event_latency.local();
        for _ in 0..records {
            local.observe(seconds);
        }
        local.flush();
    }

    /// Sets up the series of a DAG. (Its last success has no value before there was one.)
    pub fn see_dag(&self, dag: &str) {
        for state in ["success", "failed", "cancelled"] {
            self.dag_runs.with_label_values(&[dag, state]);
        }
        self.dag_run_duration.with_label_values(&[dag]);
        self.dag_failures.with_label_values(&[dag]);
        self.dag_overdue.with_label_values(&[dag]);
    }

    /// A run of a DAG has ended after `seconds`.
    pub fn dag_finished(&self, dag: &str, state: &str, seconds: f64) {
        self.dag_runs.with_label_values(&[dag, state]).inc();
        self.dag_run_duration.with_label_values(&[dag]).observe(seconds);
    }

    /// A DAG has succeeded at this moment, in seconds since 1970.
    pub fn dag_succeeded(&self, dag: &str, at_seconds: f64) {
        self.dag_last_success.with_label_values(&[dag]).set(at_seconds);
    }

    /// Everything in Prometheus' text format.
    ///
    /// # Errors
    /// When a series cannot be written as text.
    pub fn render(&self) -> Result<String, MetricsError> {
        Ok(TextEncoder::new().encode_to_string(&self.registry.gather())?)
    }
}

#[cfg(test)]
mod tests {
    use super::Metrics;

    #[test]
    fn every_series_is_there_from_the_start() {
        let text = Metrics::new("1.2.3").unwrap().render().unwrap();
        for series in [
            "adpipe_events_processed_total{outcome=\"valid\"} 0",
            "adpipe_events_invalid_total{error_type=\"sink\"} 0",
            "adpipe_records_appended_total{topic=\"ad_events_raw\"} 0",
            "adpipe_event_latency_seconds_bucket{le=\"5\"} 0",
            "adpipe_build_info{version=\"1.2.3\"} 1",
            "process_resident_memory_bytes",
        ] {
            assert!(text.contains(series), "{series} is not in\n{text}");
        }
    }
}
