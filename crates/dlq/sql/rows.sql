-- Single errors. A change of status names the status it starts from, so that of two who act at
-- once only one does.

-- name: state
select status, status_before, fingerprint, retry_count, max_retries,
       case when edited_payload is null then 0 else 1 end
from errors.dlq_errors
where error_id = $1;

-- name: send_later
-- Makes an error due.
update errors.dlq_errors
set status = 'pending', next_retry_at = $3, max_retries = $4, retry_actor = $5, job_id = $6,
    status_before = null, resolution = null, resolved_at = null, waits_for = null
where error_id = $1 and status = $2;

-- name: discard
update errors.dlq_errors
set status = 'discarded', status_before = status, resolution = $3, resolved_at = $4, next_retry_at = null, job_id = $5,
    waits_for = null
where error_id = $1 and status = $2;

-- name: undo_discard
update errors.dlq_errors
set status = $2, status_before = null, resolution = null, resolved_at = null, next_retry_at = $3, job_id = $4
where error_id = $1 and status = 'discarded';

-- name: edit
update errors.dlq_errors set edited_payload = $3, edited_headers = $4
where error_id = $1 and status = $2;

-- name: note_action
insert into errors.actions (at, actor, action, error_id, job_id, reason, patch, payload, headers)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- name: current
-- What would be sent, and what it belongs to.
select coalesce(edited_payload, raw_payload), coalesce(edited_headers, headers), record_key
from errors.dlq_errors
where error_id = $1;
