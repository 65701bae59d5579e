-- Single errors. A change of status names the status it starts from, so that of two who act at
-- once only one does. It gives what the sum of the row's state covers, and seal_state follows.

-- name: state
select fingerprint, case when edited_payload is null then 0 else 1 end as is_edited, state_sum,
       error_id, status, status_before, retry_count, max_retries, next_retry_at, lease_until,
       retry_actor, job_id, last_failed_at, resolved_at, resolution, waits_for
from errors.dlq_errors
where error_id = $1;

-- name: seal_state
update errors.dlq_errors set state_sum = $2 where error_id = $1;

-- name: send_later
-- Makes an error due.
update errors.dlq_errors
set status = 'pending', next_retry_at = $3, max_retries = $4, retry_actor = $5, job_id = $6,
    status_before = null, resolution = null, resolved_at = null, waits_for = null
where error_id = $1 and status = $2
returning error_id, status, status_before, retry_count, max_retries, next_retry_at, lease_until,
          retry_actor, job_id, last_failed_at, resolved_at, resolution, waits_for;

-- name: discard
update errors.dlq_errors
set status = 'discarded', status_before = status, resolution = $3, resolved_at = $4, next_retry_at = null, job_id = $5,
    waits_for = null
where error_id = $1 and status = $2
returning error_id, status, status_before, retry_count, max_retries, next_retry_at, lease_until,
          retry_actor, job_id, last_failed_at, resolved_at, resolution, waits_for;

-- name: undo_discard
update errors.dlq_errors
set status = $2, status_before = null, resolution = null, resolved_at = null, next_retry_at = $3, job_id = $4
where error_id = $1 and status = 'discarded'
returning error_id, status, status_before, retry_count, max_retries, next_retry_at, lease_until,
          retry_actor, job_id, last_failed_at, resolved_at, resolution, waits_for;

-- name: edit
update errors.dlq_errors set edited_payload = $3, edited_headers = $4, edit_sum = $5
where error_id = $1 and status = $2;

-- name: note_action
insert into errors.actions (at, actor, action, error_id, job_id, reason, patch, payload, headers, row_sum)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10);

-- name: current
-- What would be sent, and what it belongs to.
select coalesce(edited_payload, raw_payload) as payload, coalesce(edited_headers, headers) as headers, record_key
from errors.dlq_errors
where error_id = $1;
