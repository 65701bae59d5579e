//! Figures about the running process, for Prometheus.
//!
//! [`Metrics`] holds every series; [`FAMILIES`] lists them. A role that starts calls
//! [`Metrics::play`]; from then on, each label combination that it will count exists as 0, so that
//! `rate()` never loses the first increment. A process does not export what it does not know (a role
//! that it does not play, a time before the first commit), so there is no false 0. Hot paths count
//! locally and add once per batch.
#![forbid(unsafe_code)]

mod families;
mod latency;
mod role_states;

use std::collections::HashMap;

use adpipe_event::{ErrorType, Topic};
use prometheus::{
    GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder,
};

pub use families::{FAMILIES, Family, Kind, Role};
use latency::LatencyHistogram;
pub use latency::{LATENCY_BUCKETS_S, LatencyBuckets};
use role_states::RoleStates;

const HTTP_BUCKETS_S: [f64; 8] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0];

const RUN_BUCKETS_S: [f64; 10] = [1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1_800.0, 3_600.0, 7_200.0, 21_600.0];

/// The labels of a metric without labels.
const NONE: [&str; 0] = [];

/// Every series that a process may export.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    /// `adpipe_records_appended_total{topic}`
    pub records_appended: IntCounterVec,
    /// `adpipe_events_processed_total{outcome}`: `valid`, `invalid`, `duplicate`.
    pub events_processed: IntCounterVec,
    /// `adpipe_etl_rows_total{outcome}`: rows of raw files, as `adpipe_events_processed_total`.
    pub etl_rows: IntCounterVec,
    warehouse_records: IntGaugeVec,
    warehouse_clicks: IntGaugeVec,
    /// `adpipe_events_invalid_total{error_type}`
    pub events_invalid: IntCounterVec,
    late_events: IntCounterVec,
    event_latency: LatencyHistogram,
    sink_commit_duration: HistogramVec,
    /// `adpipe_log_lag_records{topic,partition}`
    pub log_lag: IntGaugeVec,
    last_commit: GaugeVec,
    /// `adpipe_dlq_errors{status}`
    pub dlq_errors: IntGaugeVec,
    /// `adpipe_dlq_retries_total{outcome}`: `applied`, `already_counted`, `failed`.
    pub dlq_retries: IntCounterVec,
    dlq_oldest: GaugeVec,
    /// `adpipe_dag_runs_total{dag,state}`: `success`, `failed`, `cancelled`.
    pub dag_runs: IntCounterVec,
    /// `adpipe_dag_run_duration_seconds{dag}`: from the first task's start to the last one's end.
    pub dag_run_duration: HistogramVec,
    /// `adpipe_scheduler_last_success_timestamp_seconds{dag}`
    pub dag_last_success: GaugeVec,
    /// `adpipe_dag_failures{dag}`
    pub dag_failures: IntGaugeVec,
    /// `adpipe_dag_overdue_seconds{dag}`
    pub dag_overdue: GaugeVec,
    archive_oldest_open_hour: GaugeVec,
    archive_unreadable_hours: IntGaugeVec,
    /// `adpipe_data_tests{status}`: `pass`, `warn`, `fail`, `error`, `skipped`.
    pub data_tests: IntGaugeVec,
    /// `adpipe_source_age_seconds{source}`
    pub source_age: GaugeVec,
    /// `adpipe_source_max_age_seconds{source}`
    pub source_max_age: GaugeVec,
    warehouse_up: IntGaugeVec,
    disk_free: IntGaugeVec,
    disk_size: IntGaugeVec,
    /// `adpipe_alerts{rule,state}`: alerts of adpipe's own evaluation: `pending`, `firing`.
    pub alerts: IntGaugeVec,
    /// `adpipe_notifications_total{kind,outcome}`: messages to Slack.
    pub notifications: IntCounterVec,
    notifications_waiting: GaugeVec,
    /// `adpipe_http_requests_total{route,status}`
    pub http_requests: IntCounterVec,
    /// `adpipe_http_request_duration_seconds{route}`
    pub http_duration: HistogramVec,
    roles: IntGaugeVec,
    role_up: IntGaugeVec,
    role_states: RoleStates,
}

/// A metric that could not be set up: a fault of ours, caught by the first test.
#[derive(Debug, thiserror::Error)]
#[error("metrics: {0}")]
pub struct MetricsError(#[from] prometheus::Error);

/// Makes and registers metrics as [`FAMILIES`] has them.
struct Maker(Registry);

impl Maker {
    fn family(name: &str) -> Result<&'static Family, prometheus::Error> {
        families::find(name).ok_or_else(|| prometheus::Error::Msg(format!("{name} is not in the list")))
    }

    fn register<C: prometheus::core::Collector + Clone + 'static>(
        &self,
        metric: C,
    ) -> Result<C, prometheus::Error> {
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn counter(&self, name: &str) -> Result<IntCounterVec, prometheus::Error> {
        let family = Maker::family(name)?;
        self.register(IntCounterVec::new(Opts::new(name, family.help), family.labels)?)
    }

    fn whole_gauge(&self, name: &str) -> Result<IntGaugeVec, prometheus::Error> {
        let family = Maker::family(name)?;
        self.register(IntGaugeVec::new(Opts::new(name, family.help), family.labels)?)
    }

    fn gauge(&self, name: &str) -> Result<GaugeVec, prometheus::Error> {
        let family = Maker::family(name)?;
        self.register(GaugeVec::new(Opts::new(name, family.help), family.labels)?)
    }

    fn histogram(&self, name: &str, buckets: &[f64]) -> Result<HistogramVec, prometheus::Error> {
        let family = Maker::family(name)?;
        let options = HistogramOpts::new(name, family.help).buckets(buckets.to_vec());
        self.register(HistogramVec::new(options, family.labels)?)
    }

    fn latency(&self, name: &str) -> Result<LatencyHistogram, prometheus::Error> {
        self.register(LatencyHistogram::new(name, Maker::family(name)?.help)?)
    }
}

impl Metrics {
    /// The metrics of a process that plays no role yet: about itself, nothing else.
    ///
    /// # Errors
    /// Only if two series had one name, or one is not in the list.
    pub fn new(version: &str) -> Result<Metrics, MetricsError> {
        let make = Maker(Registry::new());
        let build_info = make.whole_gauge("adpipe_build_info")?;
        build_info.with_label_values(&[version]).set(1);
        make.0.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        let roles = make.whole_gauge("adpipe_process_role")?;
        for role in Role::ALL {
            roles.with_label_values(&[role.name()]);
        }
        Ok(Metrics {
            records_appended: make.counter("adpipe_records_appended_total")?,
            events_processed: make.counter("adpipe_events_processed_total")?,
            etl_rows: make.counter("adpipe_etl_rows_total")?,
            warehouse_records: make.whole_gauge("adpipe_warehouse_records")?,
            warehouse_clicks: make.whole_gauge("adpipe_warehouse_clicks")?,
            events_invalid: make.counter("adpipe_events_invalid_total")?,
            late_events: make.counter("adpipe_late_events_total")?,
            event_latency: make.latency("adpipe_event_latency_seconds")?,
            sink_commit_duration: make
                .histogram("adpipe_sink_commit_duration_seconds", &LATENCY_BUCKETS_S)?,
            log_lag: make.whole_gauge("adpipe_log_lag_records")?,
            last_commit: make.gauge("adpipe_last_commit_timestamp_seconds")?,
            dlq_errors: make.whole_gauge("adpipe_dlq_errors")?,
            dlq_retries: make.counter("adpipe_dlq_retries_total")?,
            dlq_oldest: make.gauge("adpipe_dlq_oldest_timestamp_seconds")?,
            dag_runs: make.counter("adpipe_dag_runs_total")?,
            dag_run_duration: make.histogram("adpipe_dag_run_duration_seconds", &RUN_BUCKETS_S)?,
            dag_last_success: make.gauge("adpipe_scheduler_last_success_timestamp_seconds")?,
            dag_failures: make.whole_gauge("adpipe_dag_failures")?,
            dag_overdue: make.gauge("adpipe_dag_overdue_seconds")?,
            archive_oldest_open_hour: make.gauge("adpipe_archive_oldest_open_hour_seconds")?,
            archive_unreadable_hours: make.whole_gauge("adpipe_archive_unreadable")?,
            data_tests: make.whole_gauge("adpipe_data_tests")?,
            source_age: make.gauge("adpipe_source_age_seconds")?,
            source_max_age: make.gauge("adpipe_source_max_age_seconds")?,
            warehouse_up: make.whole_gauge("adpipe_warehouse_up")?,
            disk_free: make.whole_gauge("adpipe_disk_free_bytes")?,
            disk_size: make.whole_gauge("adpipe_disk_size_bytes")?,
            alerts: make.whole_gauge("adpipe_alerts")?,
            notifications: make.counter("adpipe_notifications_total")?,
            notifications_waiting: make.gauge("adpipe_notifications_waiting_seconds")?,
            http_requests: make.counter("adpipe_http_requests_total")?,
            http_duration: make.histogram("adpipe_http_request_duration_seconds", &HTTP_BUCKETS_S)?,
            roles,
            role_up: make.whole_gauge("adpipe_role_up")?,
            role_states: RoleStates::default(),
            registry: make.0,
        })
    }

    /// Says that this process plays a role: what the role counts is there from here on, as 0.
    /// (What it measures comes with its first measurement.)
    pub fn play(&self, role: Role) {
        self.roles.with_label_values(&[role.name()]).set(1);
        let is_up = !self.role_states.is_stopped(role);
        self.role_up.with_label_values(&[role.name()]).set(i64::from(is_up));
        let appends_to = |topic: Topic| drop(self.records_appended.with_label_values(&[topic.name()]));
        match role {
            Role::Stream => {
                appends_to(Topic::Error);
                for outcome in ["valid", "invalid", "duplicate"] {
                    self.events_processed.with_label_values(&[outcome]);
                }
                for error_type in ErrorType::ALL {
                    self.events_invalid.with_label_values(&[error_type.as_str()]);
                }
                self.late_events.with_label_values(&NONE);
                self.event_latency.begin();
                self.sink_commit_duration.with_label_values(&NONE);
            }
            Role::Dlq => {
                appends_to(Topic::Retry);
                for outcome in ["applied", "already_counted", "failed"] {
                    self.dlq_retries.with_label_values(&[outcome]);
                }
            }
            Role::Console => appends_to(Topic::Raw),
            // Theirs have labels of their own: DAGs (`see_dag`), rules, kinds of messages.
            Role::Scheduler | Role::Monitor => {}
        }
    }

    /// A role of this process has stopped, and why.
    pub fn role_stopped(&self, role: Role, reason: &str) {
        self.role_states.stopped(role, reason);
        self.play(role);
    }

    /// A role of this process works, or has ended in order.
    pub fn role_works(&self, role: Role) {
        self.role_states.works(role);
        self.play(role);
    }

    /// The roles of this process that have stopped, by name, and why.
    pub fn stopped_roles(&self) -> Vec<(&'static str, String)> {
        self.role_states.all_stopped()
    }

    /// Adds the latencies of a batch: records by bucket, and the seconds of all of them together.
    pub fn observe_latencies(&self, records: &LatencyBuckets, sum_s: f64) {
        self.event_latency.add(records, sum_s);
    }

    /// One transaction of the warehouse took `seconds`.
    pub fn observe_commit(&self, seconds: f64) {
        self.sink_commit_duration.with_label_values(&NONE).observe(seconds);
    }

    /// Something was committed at this moment, in seconds since 1970. Never goes back.
    pub fn committed_at(&self, at_seconds: f64) {
        let gauge = self.last_commit.with_label_values(&NONE);
        if gauge.get() < at_seconds {
            gauge.set(at_seconds);
        }
    }

    /// So many events more came long after their minute.
    pub fn count_late(&self, events: u64) {
        self.late_events.with_label_values(&NONE).inc_by(events);
    }

    /// The first failure of the oldest cause that has open errors, in seconds since 1970.
    pub fn dlq_oldest_at(&self, at_seconds: Option<f64>) {
        match at_seconds {
            Some(at) => self.dlq_oldest.with_label_values(&NONE).set(at),
            // No time at all: 0 would be 1970.
            None => self.dlq_oldest.reset(),
        }
    }

    /// Whether the warehouse answers.
    pub fn warehouse_is_up(&self, is_up: bool) {
        self.warehouse_up.with_label_values(&NONE).set(i64::from(is_up));
    }

    /// The disk where this process keeps its data, bytes.
    pub fn disk(&self, free: u64, size: u64) {
        let whole = |bytes| i64::try_from(bytes).unwrap_or(i64::MAX);
        self.disk_free.with_label_values(&NONE).set(whole(free));
        self.disk_size.with_label_values(&NONE).set(whole(size));
    }

    /// How long the oldest ended hour waits for the archive, and how many hours cannot be read.
    pub fn archive_is(&self, oldest_waits_seconds: f64, unreadable_hours: u64) {
        self.archive_oldest_open_hour.with_label_values(&NONE).set(oldest_waits_seconds);
        let hours = i64::try_from(unreadable_hours).unwrap_or(i64::MAX);
        self.archive_unreadable_hours.with_label_values(&NONE).set(hours);
    }

    /// How long the oldest unsent message waits; 0 for none.
    pub fn notifications_wait(&self, seconds: f64) {
        self.notifications_waiting.with_label_values(&NONE).set(seconds);
    }

    /// Sets a counter to a total that is kept elsewhere. It starts again when the total has fallen,
    /// which Prometheus takes for a restart.
    pub fn set_etl_rows(&self, outcome: &str, total: u64) {
        let counter = self.etl_rows.with_label_values(&[outcome]);
        if total < counter.get() {
            counter.reset();
        }
        counter.inc_by(total - counter.get());
    }

    /// What the warehouse has counted in all: records by outcome, and clicks among the valid ones.
    pub fn warehouse_has(&self, records: [(&str, u64); 3], clicks: u64) {
        let whole = |count| i64::try_from(count).unwrap_or(i64::MAX);
        for (outcome, count) in records {
            self.warehouse_records.with_label_values(&[outcome]).set(whole(count));
        }
        self.warehouse_clicks.with_label_values(&NONE).set(whole(clicks));
    }

    /// Sets up the series of a DAG that this process runs. (Its last success has no value before
    /// there was one.)
    pub fn see_dag(&self, dag: &str) {
        for state in ["success", "failed", "cancelled"] {
            self.dag_runs.with_label_values(&[dag, state]);
        }
        self.dag_run_duration.with_label_values(&[dag]);
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

/// The families of a text in Prometheus' format, with their types: what a scraper would find.
pub fn exported(text: &str) -> HashMap<&str, &str> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types.filter_map(|line| line.split_once(' ')).collect()
}

#[cfg(test)]
mod tests;
