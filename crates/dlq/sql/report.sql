-- What people look at.

-- name: groups
select fingerprint, error_type, stage, field, message, sample_message, sample_id, first_seen_at, last_seen_at,
       pending, retrying, exhausted, resolved, discarded
from errors.groups
order by last_seen_at desc;

-- name: group_hours
select fingerprint, hour, errors from errors.group_hours where hour >= $1;

-- name: errors
-- A list of ids follows.
select error_id, topic, partition, record_offset, stage, error_type, field, error_message, fingerprint, status,
       retry_count, max_retries, next_retry_at, first_failed_at, last_failed_at, resolved_at, resolution,
       case when edited_payload is null then 0 else 1 end as is_edited,
       length(raw_payload) as payload_bytes, substr(coalesce(edited_payload, raw_payload), 1, 600) as preview, job_id
from errors.dlq_errors
where error_id in

-- name: payloads
select record_key, raw_payload, headers, edited_payload, edited_headers
from errors.dlq_errors
where error_id = $1;

-- name: tries
select attempt, started_at, finished_at, backoff_ms, outcome, error_type, error_message, actor, job_id
from errors.retry_history
where error_id = $1
order by attempt desc
limit 500;

-- name: actions
select at, actor, action, reason, substr(patch, 1, 4000) as patch, job_id
from errors.actions
where error_id = $1
order by action_id desc
limit 200;

-- name: backlog
select minute, pending, retrying, exhausted, resolved, discarded, arrived
from errors.backlog
where minute >= $1
order by minute;

-- name: sample
-- The first to come writes the minute; others find it written.
insert into errors.backlog (minute, pending, retrying, exhausted, resolved, discarded, arrived)
values ($1, $2, $3, $4, $5, $6, $7)
on conflict (minute) do nothing;

-- name: drop_samples
delete from errors.backlog where minute < $1;

-- name: resolved_since
select count(*) as errors from errors.dlq_errors where status = 'resolved' and resolved_at >= $1;
