-- What is measured. Both databases.

-- name: commits
select committed_at, records, valid, parse + schema + validation + future + sink + archive as invalid
from realtime.commits
where committed_at > $1 and committed_at <= $2;

-- name: latencies
select latency_counts
from realtime.commits
where committed_at > $1 and committed_at <= $2;

-- name: impressions
-- Of one hour.
select sum(impressions) as impressions from realtime.metrics_hourly where window_start = $1;

-- name: dlq_counts
-- The groups are few, however many errors there are.
select coalesce(sum(pending + retrying + exhausted), 0) as open, coalesce(sum(exhausted), 0) as exhausted
from errors.groups;

-- name: dlq_causes
select fingerprint, message, pending + retrying + exhausted as errors, stage
from errors.groups
where pending + retrying + exhausted > 0
order by errors desc, fingerprint
limit 3;

-- name: dlq_newest_causes
-- The causes with most errors that came in or after the hour $1, of those that have open ones.
select g.fingerprint, g.message, g.pending + g.retrying + g.exhausted as errors, g.stage
from errors.groups as g
join (
    select fingerprint, sum(errors) as errors from errors.group_hours where hour >= $1 group by fingerprint
) as came on came.fingerprint = g.fingerprint
where g.pending + g.retrying + g.exhausted > 0
order by came.errors desc, g.fingerprint
limit 3;

-- name: dlq_exhausted_causes
-- The causes of errors that need a decision, with how many of theirs do.
select fingerprint, message, exhausted as errors, stage
from errors.groups
where exhausted > 0
order by exhausted desc, fingerprint
limit 3;

-- name: dlq_before
-- The backlog's newest sample up to a time, if it is not too old.
select pending + retrying + exhausted as open
from errors.backlog
where minute <= $1 and minute >= $2
order by minute desc
limit 1;

-- name: processes
-- Those seen within the last day.
select process, host, pid, roles, version, started_at, seen_at, ended_at
from ops.processes
where seen_at >= $1
order by started_at, process;

-- name: disks
-- The samples of the last minutes, newest first.
select sample.process, process.host, sample.disk_free, sample.disk_size
from ops.process_samples as sample
join ops.processes as process on process.process = sample.process
where sample.at >= $1 and process.ended_at is null and sample.disk_size is not null
order by sample.at desc;
