-- The outcome of an attempt.

-- name: note_repeat
insert into errors.repeated_failures (topic, partition, record_offset, error_id, attempt, row_sum)
values ($1, $2, $3, $4, $5, $6)
on conflict (topic, partition, record_offset) do nothing;

-- name: close_try
update errors.retry_history
set finished_at = $3, outcome = $4, error_type = $5, error_message = $6, outcome_sum = $7
where error_id = $1 and attempt = $2 and outcome is null;

-- name: fail
update errors.dlq_errors
set status = $2, next_retry_at = $3, error_type = $4, field = $5, error_message = $6, fingerprint = $7,
    last_failed_at = $8, lease_until = null, waits_for = $9, max_retries = max_retries + $10, cause_sum = $11
where error_id = $1 and status = 'retrying'
returning error_id, status, status_before, retry_count, max_retries, next_retry_at, lease_until,
          retry_actor, job_id, last_failed_at, resolved_at, resolution, waits_for;

-- name: resolve
update errors.dlq_errors
set status = 'resolved', resolution = $3, resolved_at = $4, lease_until = null, next_retry_at = null
where error_id = $1 and status = $2
returning error_id, status, status_before, retry_count, max_retries, next_retry_at, lease_until,
          retry_actor, job_id, last_failed_at, resolved_at, resolution, waits_for;

-- name: replays
select record_offset, error_id, attempt, outcome
from realtime.replays
where topic = $1 and partition = $2 and record_offset >= $3 and record_offset < $4
order by record_offset
limit $5;
