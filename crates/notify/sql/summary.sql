-- The figures of the daily summary. Both databases; times are UTC, the day is [$1, $2).

-- name: hours
select window_start, sum(impressions) as events, sum(clicks) as clicks
from realtime.metrics_hourly
where window_start >= $1 and window_start < $2
group by window_start
order by window_start;

-- name: errors_by_type
select g.error_type as name, sum(h.errors) as errors
from errors.group_hours as h
join errors.groups as g on g.fingerprint = h.fingerprint
where h.hour >= $1 and h.hour < $2
group by g.error_type;

-- name: dlq_now
select coalesce(sum(pending + retrying + exhausted), 0) as open, coalesce(sum(exhausted), 0) as exhausted
from errors.groups;

-- name: dlq_closed
select status as name, count(*) as errors
from errors.dlq_errors
where status in ('resolved', 'discarded') and resolved_at >= $1 and resolved_at < $2
group by status;

-- name: dag_runs
select dag_id, state, count(*) as runs
from ops.dag_runs
where state in ('success', 'failed', 'cancelled') and finished_at >= $1 and finished_at < $2
group by dag_id, state
order by dag_id, state;

-- name: data_tests
-- The newest result of each test before the day's end.
select d.name, d.status
from (
    select test_id, max(started_at) as started_at from ops.data_tests where started_at < $1 group by test_id
) as newest
join ops.data_tests as d on d.test_id = newest.test_id and d.started_at = newest.started_at
order by d.name;

-- name: latencies
select at, value from ops.readings where signal = 'latency' and labels = '{}' and at >= $1 and at < $2;

-- name: commits
select committed_at, latency_counts from realtime.commits where committed_at >= $1 and committed_at < $2;

-- name: alerts
-- Those that fired at some time of the day.
select rule, count(*) as times, sum(case when resolved_at is null then 1 else 0 end) as firing
from ops.alerts
where (resolved_at is null or resolved_at >= $1) and firing_since < $2
group by rule
order by rule;

-- name: claim_first
insert into ops.scheduler_lease (name, owner, epoch, beat, ttl_ms, process, released, renewed_at)
values ('daily_summary', $1, $2, 0, 0, $1, 1, $3)
on conflict (name) do nothing;

-- name: claim
-- A day is claimed once. If a process claimed it and died before storing it, another follows later.
update ops.scheduler_lease
set owner = $1, epoch = $2, beat = beat + 1, process = $1, released = 0, renewed_at = $3
where name = 'daily_summary'
  and (epoch < $2 or (epoch = $2 and released = 0 and (owner = $1 or renewed_at < $4)));

-- name: claim_done
update ops.scheduler_lease set released = 1 where name = 'daily_summary' and owner = $1 and epoch = $2;

-- name: alert
-- The current state of an alert that waits to be sent.
select value, worst, state, acknowledged_by from ops.alerts where alert_id = $1;
