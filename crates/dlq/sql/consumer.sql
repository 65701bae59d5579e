-- Where the queue's readers continue, and what they store.

-- name: offsets
select next_offset from errors.offsets where topic = $1 and partition = $2;

-- name: begin_at
insert into errors.offsets (topic, partition, next_offset, updated_at, row_sum) values ($1, $2, $3, $4, $5)
on conflict (topic, partition) do nothing;

-- name: claim
-- Changes one row, or none if another process has already continued from there.
update errors.offsets set next_offset = $4, updated_at = $5, row_sum = $6
where topic = $1 and partition = $2 and next_offset = $3;

-- name: insert
-- Rows of parameters follow, then insert_end. What was delivered twice is there already.
insert into errors.dlq_errors (
    error_id, topic, partition, record_offset, stage, record_key, raw_payload, headers, error_type,
    field, error_message, fingerprint, status, retry_count, max_retries, next_retry_at, retry_actor,
    first_failed_at, last_failed_at, waits_for, record_sum, cause_sum, edit_sum, state_sum
) values

-- name: insert_end
on conflict (topic, partition, record_offset) do nothing
returning error_id;
