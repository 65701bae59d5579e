//! The one list of what is exported: name, type, labels, unit, and which role knows it.
//! `docs/METRICS.md` has the same table.

/// A role of the pipeline, as it exports series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Counts the events.
    Stream,
    /// Keeps the dead-letter queue.
    Dlq,
    /// Runs the DAGs.
    Scheduler,
    /// Serves people and takes events over HTTP.
    Console,
    /// Measures, and watches the alerts.
    Monitor,
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 5] = [Role::Stream, Role::Dlq, Role::Scheduler, Role::Console, Role::Monitor];

    /// As `adpipe run` calls it.
    pub fn name(self) -> &'static str {
        match self {
            Role::Stream => "stream",
            Role::Dlq => "dlq",
            Role::Scheduler => "scheduler",
            Role::Console => "console",
            Role::Monitor => "monitor",
        }
    }
}

/// A type of metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, from the start of its process on.
    Counter,
    /// A figure of this moment.
    Gauge,
    /// Counts by size.
    Histogram,
}

impl Kind {
    /// As Prometheus calls it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// A metric.
#[derive(Debug, Clone, Copy)]
pub struct Family {
    /// As Prometheus knows it: `adpipe_…`, with its unit.
    pub name: &'static str,
    /// Whether it only grows.
    pub kind: Kind,
    /// Names of the labels that tell its series apart.
    pub labels: &'static [&'static str],
    /// What one of it is.
    pub unit: &'static str,
    /// The roles that export it.
    pub roles: &'static [Role],
    /// What it says.
    pub help: &'static str,
}

const fn family(
    name: &'static str,
    kind: Kind,
    labels: &'static [&'static str],
    unit: &'static str,
    roles: &'static [Role],
    help: &'static str,
) -> Family {
    Family { name, kind, labels, unit, roles, help }
}

use Kind::{Counter, Gauge, Histogram};
use Role::{Console, Dlq, Monitor, Scheduler, Stream};

const EVERY_ROLE: &[Role] = &Role::ALL;

/// Everything that an adpipe may export.
#[rustfmt::skip]
pub const FAMILIES: [Family; 42] = [
    family("adpipe_records_appended_total", Counter, &["topic"], "records", &[Stream, Dlq, Console],
        "Records that this process made durable in the log."),
    family("adpipe_events_processed_total", Counter, &["outcome"], "records", &[Stream],
        "Records whose outcome is committed."),
    family("adpipe_events_invalid_total", Counter, &["error_type"], "records", &[Stream],
        "Invalid records, by the type of error."),
    family("adpipe_late_events_total", Counter, &[], "events", &[Stream],
        "Events that came long after their minute. They are counted in it."),
    family("adpipe_event_latency_seconds", Histogram, &[], "seconds", &[Stream],
        "Time from the append of a record to the commit of its effects."),
    family("adpipe_sink_commit_duration_seconds", Histogram, &[], "seconds", &[Stream],
        "Duration of a warehouse transaction."),
    family("adpipe_last_commit_timestamp_seconds", Gauge, &[], "seconds since 1970", &[Stream],
        "When the stream processor last committed, seconds since the Unix epoch."),
    family("adpipe_log_lag_records", Gauge, &["topic", "partition"], "records", &[Stream, Dlq],
        "Records appended and not yet committed."),
    family("adpipe_dlq_errors", Gauge, &["status"], "errors", &[Dlq],
        "Errors in the dead-letter queue, by status."),
    family("adpipe_dlq_retries_total", Counter, &["outcome"], "retries", &[Dlq],
        "Retries of the dead-letter queue whose outcome is known."),
    family("adpipe_dlq_oldest_timestamp_seconds", Gauge, &[], "seconds since 1970", &[Dlq],
        "First failure of the oldest cause that has open errors, seconds since the Unix epoch."),
    family("adpipe_dag_runs_total", Counter, &["dag", "state"], "runs", &[Scheduler],
        "Runs of DAGs that ended."),
    family("adpipe_dag_run_duration_seconds", Histogram, &["dag"], "seconds", &[Scheduler],
        "Duration of a DAG run."),
    family("adpipe_scheduler_last_success_timestamp_seconds", Gauge, &["dag"], "seconds since 1970",
        &[Scheduler, Monitor],
        "When the DAG last succeeded, seconds since the Unix epoch."),
    family("adpipe_dag_failures", Gauge, &["dag"], "runs", &[Monitor],
        "Failed runs of a DAG in a row, up to its newest."),
    family("adpipe_dag_overdue_seconds", Gauge, &["dag"], "seconds", &[Monitor],
        "Time since a run of a DAG should have started; 0 when none is overdue."),
    family("adpipe_etl_rows_total", Counter, &["outcome"], "rows", &[Monitor],
        "Rows of raw files that are committed, since the warehouse was created."),
    family("adpipe_warehouse_records", Gauge, &["outcome"], "records", &[Monitor],
        "All records that the warehouse has counted, from the stream and from raw files."),
    family("adpipe_warehouse_clicks", Gauge, &[], "clicks", &[Monitor],
        "Clicks among all valid events of the warehouse."),
    family("adpipe_archive_oldest_open_hour_seconds", Gauge, &[], "seconds", &[Monitor],
        "How long the oldest ended hour has waited for the archive; 0 when none waits."),
    family("adpipe_archive_unreadable", Gauge, &[], "hours", &[Monitor],
        "Hours with a part of the archive that is missing or damaged; their events wait."),
    family("adpipe_data_tests", Gauge, &["status"], "tests", &[Monitor],
        "Data tests by the status of their newest result."),
    family("adpipe_source_age_seconds", Gauge, &["source"], "seconds", &[Monitor],
        "Time since a source last got new rows."),
    family("adpipe_source_max_age_seconds", Gauge, &["source"], "seconds", &[Monitor],
        "Maximum age of a source's newest row."),
    family("adpipe_warehouse_up", Gauge, &[], "1 or 0", EVERY_ROLE,
        "1 when the warehouse answers, else 0."),
    family("adpipe_disk_free_bytes", Gauge, &[], "bytes", EVERY_ROLE,
        "Free space where this process keeps its data."),
    family("adpipe_disk_size_bytes", Gauge, &[], "bytes", EVERY_ROLE,
        "Size of the disk where this process keeps its data."),
    family("adpipe_alerts", Gauge, &["rule", "state"], "alerts", &[Monitor],
        "Alerts of adpipe's own evaluation."),
    family("adpipe_notifications_total", Counter, &["kind", "outcome"], "messages", &[Monitor],
        "Messages to Slack."),
    family("adpipe_notifications_waiting_seconds", Gauge, &[], "seconds", &[Monitor],
        "How long the oldest unsent message to Slack has waited; 0 when none waits."),
    family("adpipe_http_requests_total", Counter, &["route", "status"], "requests", &[Console],
        "HTTP requests answered."),
    family("adpipe_http_request_duration_seconds", Histogram, &["route"], "seconds", &[Console],
        "Time to answer an HTTP request."),
    family("adpipe_build_info", Gauge, &["version"], "always 1", EVERY_ROLE,
        "Always 1; the labels say which adpipe this is."),
    family("adpipe_process_role", Gauge, &["role"], "1 or 0", EVERY_ROLE,
        "1 for each role that this process plays, 0 for the others."),
    family("adpipe_role_up", Gauge, &["role"], "1 or 0", EVERY_ROLE,
        "For each role that this process plays: 1 when it works, 0 when it has stopped and is retried."),
    family("process_cpu_seconds_total", Counter, &[], "seconds", EVERY_ROLE,
        "Total user and system CPU time spent in seconds."),
    family("process_open_fds", Gauge, &[], "files", EVERY_ROLE,
        "Number of open file descriptors."),
    family("process_max_fds", Gauge, &[], "files", EVERY_ROLE,
        "Maximum number of open file descriptors."),
    family("process_virtual_memory_bytes", Gauge, &[], "bytes", EVERY_ROLE,
        "Virtual memory size in bytes."),
    family("process_resident_memory_bytes", Gauge, &[], "bytes", EVERY_ROLE,
        "Resident memory size in bytes."),
    family("process_start_time_seconds", Gauge, &[], "seconds since 1970", EVERY_ROLE,
        "Start time of the process since unix epoch in seconds."),
    family("process_threads", Gauge, &[], "threads", EVERY_ROLE,
        "Number of OS threads in the process."),
];

/// What a metric is, by its name.
pub(crate) fn find(name: &str) -> Option<&'static Family> {
    FAMILIES.iter().find(|family| family.name == name)
}
