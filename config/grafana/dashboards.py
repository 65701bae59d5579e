#!/usr/bin/env python3
"""Writes Grafana's dashboards: config/grafana/dashboards.py [--check]

In an expression every series is written with its own matchers only; those of the dashboard's
variables (job, instance) are added. What an alert watches is measured as the alert does, over its
window by increase(); everything else over $__rate_interval. --check writes nothing and fails when a
file is not what this script makes.
"""

import json
import sys

from panels import ALERTS, HERE, chart, dashboard, heat_map, row, stat, window

FOLDER = HERE / "dashboards"


def pipeline():
    """From records to figures."""
    latency = "histogram_quantile({}, sum by (le) (rate(adpipe_event_latency_seconds_bucket[$__rate_interval])))"
    commit = "histogram_quantile({}, sum by (le) (rate(adpipe_sink_commit_duration_seconds_bucket[$__rate_interval])))"
    request = "histogram_quantile(0.95, sum by (le, route) (rate(adpipe_http_request_duration_seconds_bucket[$__rate_interval])))"

    def errors(over, function="increase"):
        """Share of records in error."""
        return (
            f'sum({function}(adpipe_events_processed_total{{outcome="invalid"}}[{over}])) / '
            f'sum({function}(adpipe_events_processed_total{{outcome=~"valid|invalid"}}[{over}]))'
        )

    def burn(alert):
        """The lesser of the two windows' burn rates: the alert needs both."""
        rule = ALERTS[alert]
        long, short = (f"({errors(rule[key])}) / 0.001" for key in ("window", "short_window"))
        return f"min(label_replace({long}, 'window', 'long', '', '') or label_replace({short}, 'window', 'short', '', ''))"

    # max by: several processes that know a partition's lag show the same.
    lag = "sum(max by (topic, partition) (adpipe_log_lag_records{}))"
    throughput, slow = window("ThroughputLow"), window("LatencyHigh")
    minutes = int(throughput.removesuffix("m"))
    return [
        row("Now"),
        stat(
            "Throughput", f"Records committed a minute, valid, invalid and duplicate, over {throughput}.", "short",
            f"sum(increase(adpipe_events_processed_total[{throughput}])) / {minutes}", "ThroughputLow", decimals=0,
        ),
        stat(
            "Latency, 95th percentile", f"From append to commit, over {slow}.", "s",
            f"histogram_quantile(0.95, sum by (le) (increase(adpipe_event_latency_seconds_bucket[{slow}])))",
            "LatencyHigh",
        ),
        stat(
            "Error rate", f"Share of records in error, over {window('ErrorRateHigh')}.", "percentunit",
            errors(window("ErrorRateHigh")), "ErrorRateHigh", decimals=2,
        ),
        stat(
            "Since the last commit", "While nothing waits this may grow without harm: the alert needs lag, too.", "s",
            "time() - max(adpipe_last_commit_timestamp_seconds)", "ProcessorStalled",
        ),
        stat("Lag", "Records appended and not yet committed, all topics.", "short", lag.format("")),
        stat("Alerts firing", "By adpipe's own evaluation.", "short", 'sum(adpipe_alerts{state="firing"})'),
        row("Throughput and latency"),
        chart(
            "Records committed", "A minute, by outcome. The line is the least that is expected in all.", "short",
            ("60 * sum by (outcome) (rate(adpipe_events_processed_total[$__rate_interval]))", "{{outcome}}"),
            alert="ThroughputLow", stacked=True,
        ),
        chart(
            "Records appended", "A minute, by topic: what comes in. Less of it committed is lag.", "short",
            ("60 * sum by (topic) (rate(adpipe_records_appended_total[$__rate_interval]))", "{{topic}}"), stacked=True,
        ),
        heat_map(
            "Latency, distribution", "Records by their time from append to commit.", "s",
            "sum by (le) (increase(adpipe_event_latency_seconds_bucket[$__rate_interval]))",
        ),
        chart(
            "Latency, percentiles", "From append to commit.", "s",
            (latency.format(0.5), "p50"), (latency.format(0.95), "p95"), (latency.format(0.99), "p99"),
            alert="LatencyHigh",
        ),
        chart(
            "Slower than 5 s", "Share of records over the limit; exact, as the histogram has an edge at 5 s.", "percentunit",
            ('1 - sum(rate(adpipe_event_latency_seconds_bucket{le="5"}[$__rate_interval])) '
             "/ sum(rate(adpipe_event_latency_seconds_count[$__rate_interval]))", "over 5 s"),
        ),
        chart(
            "Commit duration", "Duration of a warehouse transaction.", "s",
            (commit.format(0.5), "p50"), (commit.format(0.95), "p95"), (commit.format(0.99), "p99"),
        ),
        row("Errors"),
        chart(
            "Error rate over time", "Share of records in error.", "percentunit",
            (errors("$__rate_interval", "rate"), "errors"), alert="ErrorRateHigh",
        ),
        chart(
            "Errors by type", "A minute.", "short",
            ("60 * sum by (error_type) (rate(adpipe_events_invalid_total[$__rate_interval]))", "{{error_type}}"),
            stacked=True,
        ),
        chart(
            "Burn rate, fast",
            "How many times as fast as allowed errors use up the error budget of 99.9 %: the smaller of 1 h and 5 m.", "short",
            (burn("ErrorBudgetBurnFast"), "1 h and 5 m"), alert="ErrorBudgetBurnFast",
        ),
        chart(
            "Burn rate, slow", "The lesser of 6 h and 30 m.", "short",
            (burn("ErrorBudgetBurnSlow"), "6 h and 30 m"), alert="ErrorBudgetBurnSlow",
        ),
        row("Lag and HTTP"),
        chart(
            "Lag by topic", "Records that wait.", "short",
            ("sum by (topic) (max by (topic, partition) (adpipe_log_lag_records))", "{{topic}}"),
        ),
        chart(
            "Lag, growth", f"So many more records wait than {window('LagGrowing')} ago.", "short",
            (f"{lag.format('')} - {lag.format(' offset ' + window('LagGrowing'))}", "growth"),
            alert="LagGrowing", from_zero=False,
        ),
        chart(
            "Late events", "A minute; counted in their own minute all the same.", "short",
            ("60 * sum(rate(adpipe_late_events_total[$__rate_interval]))", "late"), width=8,
        ),
        chart(
            "HTTP requests", "A second, by status.", "reqps",
            ("sum by (status) (rate(adpipe_http_requests_total[$__rate_interval]))", "{{status}}"),
            stacked=True, width=8,
        ),
        chart("HTTP duration", "95th percentile, by route.", "s", (request, "{{route}}"), width=8),
    ]


def dead_letters():
    """Errors on their way back, or waiting for somebody."""
    open_errors = 'max by (status) (adpipe_dlq_errors{status=~"pending|retrying|exhausted"})'
    over = window("DlqGrowing")
    waiting = 'max by (status) (adpipe_dlq_errors{status=~"pending|retrying|exhausted"} offset ' + over + ")"
    # max by: several keepers of one queue show the same figures.
    return [
        row("Now"),
        stat(
            "Exhausted", "Errors that wait for a person: their retries are used up, or none makes sense.", "short",
            'max(adpipe_dlq_errors{status="exhausted"})', "DlqExhausted",
        ),
        stat("Open", "Pending, retrying and exhausted.", "short", f"sum({open_errors})"),
        stat(
            "Growth", f"So many more errors are open than {over} ago.", "short",
            f"sum({open_errors}) - sum({waiting})", "DlqGrowing",
        ),
        stat(
            "Oldest cause", "Since the first failure of the oldest cause that has open errors.", "s",
            "time() - min(adpipe_dlq_oldest_timestamp_seconds)",
        ),
        stat("Resolved", "Repaired and counted, as long as they are kept.", "short", 'max(adpipe_dlq_errors{status="resolved"})'),
        stat("Discarded", "Given up with a reason, as long as they are kept.", "short", 'max(adpipe_dlq_errors{status="discarded"})'),
        row("In and out"),
        chart(
            "Errors by status", "What lies in the queue.", "short",
            ("max by (status) (adpipe_dlq_errors)", "{{status}}"), stacked=True,
        ),
        chart(
            "Open errors, growth", f"Against {over} before.", "short",
            (f"sum({open_errors}) - sum({waiting})", "growth"), alert="DlqGrowing", from_zero=False,
        ),
        chart(
            "New errors", "A minute, by type.", "short",
            ("60 * sum by (error_type) (rate(adpipe_events_invalid_total[$__rate_interval]))", "{{error_type}}"),
            stacked=True,
        ),
        chart(
            "Retries", "A minute, by outcome. already_counted is a success: the event was in the figures before.", "short",
            ("60 * sum by (outcome) (rate(adpipe_dlq_retries_total[$__rate_interval]))", "{{outcome}}"), stacked=True,
        ),
        chart(
            "Records to the topics of errors", "A minute: ad_events_error is what came in, ad_events_retry what was sent again.", "short",
            ('60 * sum by (topic) (rate(adpipe_records_appended_total{topic=~"ad_events_error|ad_events_retry"}[$__rate_interval]))', "{{topic}}"),
        ),
        chart(
            "Lag of the topics of errors", "Records that wait there.", "short",
            ('sum by (topic) (max by (topic, partition) (adpipe_log_lag_records{topic=~"ad_events_error|ad_events_retry"}))', "{{topic}}"),
        ),
    ]


def batch_and_quality():
    """DAGs, tests, sources, files."""
    duration = "histogram_quantile({}, sum by (le, dag) (increase(adpipe_dag_run_duration_seconds_bucket[$__range])))"
    return [
        row("Now"),
        stat("Failed runs in a row", "The DAG that has most.", "short", "max(adpipe_dag_failures)", "DagFailed"),
        stat("Overdue", "Since when a run should have started; the DAG that waits longest.", "s", "max(adpipe_dag_overdue_seconds)", "DagMissed"),
        stat(
            "Data tests failing", "Newest result fail or error.", "short",
            'sum(max by (status) (adpipe_data_tests{status=~"fail|error"}))', "DataTestsFailing",
        ),
        stat(
            "Sources overdue", "By how much the stalest source is older than it may be; below 0 all are fresh.", "s",
            "max(adpipe_source_age_seconds - adpipe_source_max_age_seconds)", "SourceStale",
        ),
        stat("Runs ended", "In the time range shown, all DAGs.", "short", "sum(increase(adpipe_dag_runs_total[$__range]))", decimals=0),
        row("DAGs"),
        chart("Runs", "Ended, by DAG and state.", "short", ("sum by (dag, state) (increase(adpipe_dag_runs_total[$__rate_interval]))", "{{dag}} {{state}}")),
        chart(
            "Duration", "Median and 95th percentile over the time range shown.", "s",
            (duration.format(0.5), "{{dag}} p50"), (duration.format(0.95), "{{dag}} p95"),
        ),
        chart("Failed runs in a row, by DAG", "0 after a success.", "short", ("max by (dag) (adpipe_dag_failures)", "{{dag}}"), alert="DagFailed"),
        chart("Overdue, by DAG", "Since when a run should have started.", "s", ("max by (dag) (adpipe_dag_overdue_seconds)", "{{dag}}"), alert="DagMissed"),
        chart(
            "Since the last success", "By DAG.", "s",
            ("time() - max by (dag) (adpipe_scheduler_last_success_timestamp_seconds)", "{{dag}}"),
        ),
        chart(
            "Oldest hour not in the archive", "Since it ended, or since its events came.", "s",
            ("max(adpipe_archive_oldest_open_hour_seconds)", "waits"), alert="ArchiveBehind",
        ),
        chart(
            "Hours that cannot be read", "A part of the archive is missing or damaged.", "short",
            ("max(adpipe_archive_unreadable)", "hours"), alert="ArchiveUnreadable",
        ),
        chart(
            "Rows of raw files", "A minute, by outcome.", "short",
            ("60 * max by (outcome) (rate(adpipe_etl_rows_total[$__rate_interval]))", "{{outcome}}"), stacked=True,
        ),
        row("Data quality"),
        chart("Data tests", "By the status of their newest result.", "short", ("max by (status) (adpipe_data_tests)", "{{status}}"), stacked=True),
        chart(
            "Tests failing", "Newest result fail or error.", "short",
            ('sum(max by (status) (adpipe_data_tests{status=~"fail|error"}))', "failing"), alert="DataTestsFailing",
        ),
        chart("Age of sources", "Since a source got something new.", "s", ("max by (source) (adpipe_source_age_seconds)", "{{source}}")),
        chart(
            "Sources, overdue", "Age less what is allowed; below 0 is fresh.", "s",
            ("max by (source) (adpipe_source_age_seconds - adpipe_source_max_age_seconds)", "{{source}}"),
            alert="SourceStale", from_zero=False,
        ),
    ]


def resources():
    """Processes, disks, servers, messages."""

    def of_adpipe(expression):
        """Of adpipe's processes alone: others export process_* as well."""
        return f"{expression} * on (job, instance) group_left () max by (job, instance) (adpipe_build_info)"

    kafka = "60 * sum by (topic) (rate(kafka_server_brokertopicmetrics_{}_total[$__rate_interval]))"
    real = 'fstype!~"tmpfs|ramfs|squashfs|overlay"'
    return [
        row("adpipe"),
        stat("Targets down", "Of all that Prometheus asks.", "short", "count(up) - sum(up)"),
        stat("Warehouse", "1 when every process reaches it.", "short", "min(adpipe_warehouse_up)"),
        stat(
            "Disk free", "Where adpipe keeps its data; the fullest.", "percentunit",
            "min(adpipe_disk_free_bytes / adpipe_disk_size_bytes)", "DiskFilling", decimals=1,
        ),
        stat("CPU", "Cores in use by adpipe.", "short", f"sum({of_adpipe('rate(process_cpu_seconds_total[$__rate_interval])')})", decimals=2),
        stat("Memory", "Resident, all of adpipe's processes.", "bytes", f"sum({of_adpipe('process_resident_memory_bytes')})"),
        stat("Running since", "The process that started last.", "s", f"time() - max({of_adpipe('process_start_time_seconds')})"),
        chart("CPU by process", "Cores in use.", "short", (of_adpipe("rate(process_cpu_seconds_total[$__rate_interval])"), "{{instance}}"), width=8),
        chart("Memory by process", "Resident.", "bytes", (of_adpipe("process_resident_memory_bytes"), "{{instance}}"), width=8),
        chart(
            "Open files by process", "As a share of what the process may open.", "percentunit",
            (of_adpipe("process_open_fds / process_max_fds"), "{{instance}}"), width=8,
        ),
        chart(
            "Free disk by process", "Share of the disk where it keeps its data.", "percentunit",
            ("adpipe_disk_free_bytes / adpipe_disk_size_bytes", "{{instance}}"), alert="DiskFilling", width=8,
        ),
        chart("Targets", "1 while a target answers Prometheus.", "short", ("min by (job, instance) (up)", "{{job}} {{instance}}"), width=8),
        chart("Roles", "Processes that play each.", "short", ("sum by (role) (adpipe_process_role)", "{{role}}"), width=8),
        chart(
            "Messages to Slack", "By kind and outcome.", "short",
            ("sum by (kind, outcome) (increase(adpipe_notifications_total[$__rate_interval]))", "{{kind}} {{outcome}}"),
        ),
        chart("Oldest unsent message", "0 when none waits.", "s", ("max(adpipe_notifications_waiting_seconds)", "waiting"), alert="NotificationsWaiting"),
        row("PostgreSQL"),
        chart("Connections", "By state; the dashed limit is max_connections.", "short",
              ("sum by (state) (pg_stat_activity_count)", "{{state}}"), ("max(pg_settings_max_connections)", "max_connections"), width=8),
        chart("Transactions", "A second.", "ops",
              ("sum(rate(pg_stat_database_xact_commit[$__rate_interval]))", "commit"),
              ("sum(rate(pg_stat_database_xact_rollback[$__rate_interval]))", "rollback"), width=8),
        chart("Longest transaction", "By state.", "s", ("max by (state) (pg_stat_activity_max_tx_duration)", "{{state}}"), width=8),
        chart("Size of databases", "On disk.", "bytes", ('max by (datname) (pg_database_size_bytes{datname!~"template.*"})', "{{datname}}"), width=8),
        chart("Cache hits", "Share of blocks found in shared_buffers.", "percentunit",
              ("sum(rate(pg_stat_database_blks_hit[$__rate_interval])) / (sum(rate(pg_stat_database_blks_hit[$__rate_interval])) + sum(rate(pg_stat_database_blks_read[$__rate_interval])))", "hits"), width=8),
        chart("Deadlocks and locks", "Deadlocks in the time range shown; locks held now.", "short",
              ("sum(increase(pg_stat_database_deadlocks[$__range]))", "deadlocks"), ("sum(pg_locks_count)", "locks"), width=8),
        row("Kafka"),
        chart("Messages in", "A minute, by topic.", "short", (kafka.format("messagesin"), "{{topic}}"), width=8),
        chart("Bytes in and out", "A minute, all topics.", "bytes",
              ("60 * sum(rate(kafka_server_brokertopicmetrics_bytesin_total[$__rate_interval]))", "in"),
              ("60 * sum(rate(kafka_server_brokertopicmetrics_bytesout_total[$__rate_interval]))", "out"), width=8),
        chart("Partitions in trouble", "Without a leader, without all replicas, below the least that writing needs.", "short",
              ("max(kafka_controller_kafkacontroller_offlinepartitionscount)", "offline"),
              ("sum(kafka_server_replicamanager_underreplicatedpartitions)", "under-replicated"),
              ("sum(kafka_server_replicamanager_underminisrpartitioncount)", "below min.insync.replicas"), width=8),
        chart("Request time, 99th percentile", "Produce waits for the replicas; fetch waits for data.", "ms",
              ('max by (request) (kafka_network_requestmetrics_totaltimems{quantile="0.99"})', "{{request}}"), width=8),
        chart("Brokers", "Known to the active controller; fenced ones are cut off.", "short",
              ("max(kafka_controller_kafkacontroller_activebrokercount)", "active"),
              ("max(kafka_controller_kafkacontroller_fencedbrokercount)", "fenced"),
              ("sum(kafka_controller_kafkacontroller_activecontrollercount)", "controllers"), width=8),
        chart("Size of topics", "On disk, all replicas.", "bytes", ("sum by (topic) (kafka_log_log_size)", "{{topic}}"), width=8),
        row("Flink"),
        chart("Records out", "A second, by operator.", "short",
              ("sum by (operator_name) (rate(flink_taskmanager_job_task_operator_numRecordsOut[$__rate_interval]))", "{{operator_name}}"), width=8),
        chart("Restarts and failed checkpoints", "Since the job began.", "short",
              ("max by (job_name) (flink_jobmanager_job_numRestarts)", "{{job_name}} restarts"),
              ("max by (job_name) (flink_jobmanager_job_numberOfFailedCheckpoints)", "{{job_name}} failed checkpoints"), width=8),
        chart("Checkpoints", "How long the last one took.", "ms",
              ("max by (job_name) (flink_jobmanager_job_lastCheckpointDuration)", "{{job_name}}"), width=8),
        row("Machines"),
        chart("CPU of machines", "Share in use.", "percentunit",
              ('1 - avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[$__rate_interval]))', "{{instance}}"), width=8),
        chart("Memory of machines", "Share in use.", "percentunit",
              ("1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes", "{{instance}}"), width=8),
        chart("Disks of machines", "Share in use.", "percentunit",
              (f"1 - node_filesystem_avail_bytes{{{real}}} / node_filesystem_size_bytes{{{real}}}", "{{instance}} {{mountpoint}}"), width=8),
        chart("Disk time", "Share of the time that a disk was busy.", "percentunit",
              ("rate(node_disk_io_time_seconds_total[$__rate_interval])", "{{instance}} {{device}}"), width=8),
        chart("Network in", "By machine.", "Bps",
              ('sum by (instance) (rate(node_network_receive_bytes_total{device!="lo"}[$__rate_interval]))', "{{instance}}"), width=8),
        chart("Load", "Processes that run or wait, by machine.", "short", ("node_load1", "{{instance}}"), width=8),
    ]


DASHBOARDS = [
    dashboard("adpipe-pipeline", "adpipe: pipeline", "Throughput, latency, errors and lag", pipeline()),
    dashboard("adpipe-dlq", "adpipe: dead-letter queue", "Errors, retries and repair", dead_letters()),
    dashboard("adpipe-batch", "adpipe: batch and data quality", "DAGs, data tests, sources, files", batch_and_quality()),
    dashboard("adpipe-resources", "adpipe: resources", "Processes, disks, messages, PostgreSQL, Kafka, Flink, machines", resources(), jobs="up"),
]


def main():
    stale = []
    for made in DASHBOARDS:
        file = FOLDER / f"{made['uid']}.json"
        text = json.dumps(made, indent=2, ensure_ascii=False) + "\n"
        if "--check" in sys.argv[1:]:
            stale += [] if file.exists() and file.read_text() == text else [file.name]
        else:
            file.write_text(text)
    if stale:
        sys.exit(f"not as this script makes them: {', '.join(stale)}; run {sys.argv[0]}")


if __name__ == "__main__":
    main()
