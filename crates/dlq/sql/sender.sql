-- Sending what is due.

-- name: newest_tries
select count(*) as tries, coalesce(sum(case when outcome = 'failed' then 1 else 0 end), 0) as failed
from (
    select outcome
    from errors.retry_history
    where finished_at >= $1 and actor = 'adpipe' and (error_type is null or error_type <> 'archive')
    order by finished_at desc
    limit $2
) newest;

-- name: due
-- Retries that a person asked for ($3 = 1) are sent while the rest is paused.
select error_id, length(coalesce(edited_payload, raw_payload)) as payload_bytes, retry_count, fingerprint,
       retry_actor, job_id, coalesce(next_retry_at, last_failed_at) as due_at, last_failed_at
from errors.dlq_errors
where status = 'pending' and next_retry_at <= $1 and (retry_actor <> 'adpipe' or $3 = 0)
order by next_retry_at
limit $2

-- name: count_due
select count(*) as errors from errors.dlq_errors where status = 'pending' and next_retry_at <= $1;

-- name: for_update
-- PostgreSQL: what another sender has in hand is his.
for update skip locked

-- name: lost
-- Leased by a process that has given no sign of life since.
select error_id, length(coalesce(edited_payload, raw_payload)) as payload_bytes, retry_count
from errors.dlq_errors
where status = 'retrying' and lease_until < $1
order by lease_until
limit $2

-- name: take
update errors.dlq_errors
set status = 'retrying', retry_count = $2, lease_until = $3, next_retry_at = null, waits_for = null
where error_id = $1 and status = 'pending'
returning error_id, status, status_before, retry_count, max_retries, next_retry_at, lease_until,
          retry_actor, job_id, last_failed_at, resolved_at, resolution, waits_for;

-- name: next_waited_for
-- The first event hour after $1 that errors wait for.
select min(waits_for) as event_hour
from errors.dlq_errors
where status = 'pending' and waits_for is not null and waits_for > $1;

-- name: is_unreadable
select 1 from realtime.unreadable_hours where event_hour = $1;

-- name: wake
update errors.dlq_errors
set next_retry_at = $2, waits_for = null
where error_id in (
    select error_id
    from errors.dlq_errors
    where status = 'pending' and waits_for is not null and waits_for = $1
    limit $3
)
returning error_id, status, status_before, retry_count, max_retries, next_retry_at, lease_until,
          retry_actor, job_id, last_failed_at, resolved_at, resolution, waits_for;

-- name: renew
update errors.dlq_errors set lease_until = $2
where error_id = $1 and status = 'retrying' and lease_until < $3
returning error_id, status, status_before, retry_count, max_retries, next_retry_at, lease_until,
          retry_actor, job_id, last_failed_at, resolved_at, resolution, waits_for;

-- name: begin_try
insert into errors.retry_history (
    error_id, attempt, started_at, backoff_ms, actor, job_id, row_sum, outcome_sum
)
values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict (error_id, attempt) do nothing;

-- name: tried
select status, retry_count from errors.dlq_errors where error_id = $1;

-- name: heard_of
-- One try of an error.
select e.status, e.next_retry_at, h.outcome, h.error_message
from errors.dlq_errors e
left join errors.retry_history h on h.error_id = e.error_id and h.attempt = $2
where e.error_id = $1;
