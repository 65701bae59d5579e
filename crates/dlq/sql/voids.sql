-- Errors that the account does not know, as an attempt that died before its commit left them.

-- name: hold_stores
-- A process that stores errors claims one of these rows first: each waits for the other.
update errors.offsets set updated_at = $2 where topic = $1;

-- name: errors
select record_offset, error_id, status, fingerprint, coalesce(resolution, '') as resolution
from errors.dlq_errors
where topic = $1 and partition = $2 and record_offset >= $3 and record_offset < $4
order by record_offset
limit $5;

-- name: repeats
select record_offset, error_id, attempt
from errors.repeated_failures
where topic = $1 and partition = $2 and record_offset >= $3 and record_offset < $4
order by record_offset;

-- name: void
update errors.dlq_errors
set status = 'resolved', resolution = 'void', resolved_at = $3, status_before = null, lease_until = null,
    next_retry_at = null, waits_for = null
where error_id = $1 and status = $2
returning error_id, status, status_before, retry_count, max_retries, next_retry_at, lease_until,
          retry_actor, job_id, last_failed_at, resolved_at, resolution, waits_for;

-- name: revive
update errors.dlq_errors set status = 'exhausted', resolution = null, resolved_at = null
where error_id = $1 and resolution = 'void'
returning error_id, status, status_before, retry_count, max_retries, next_retry_at, lease_until,
          retry_actor, job_id, last_failed_at, resolved_at, resolution, waits_for;

-- name: drop_repeat
delete from errors.repeated_failures where topic = $1 and partition = $2 and record_offset = $3;

-- name: reopen_try
-- Its outcome is in realtime.replays.
update errors.retry_history
set finished_at = null, outcome = null, error_type = null, error_message = null, outcome_sum = $3
where error_id = $1 and attempt = $2 and outcome = 'failed';
