-- Bulk actions.

-- name: create
insert into errors.jobs (
    job_id, kind, filter, patch, reason, actor, state, canary, total, until_id, created_at, row_sum
) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12);

-- name: columns_of
select job_id, kind, filter, patch, reason, actor, state, canary, total, changed, skipped, reached, until_id,
       message, created_at, finished_at
from errors.jobs
where job_id = $1;

-- name: newest
select job_id, kind, filter, patch, reason, actor, state, canary, total, changed, skipped, reached, until_id,
       message, created_at, finished_at
from errors.jobs
order by job_id desc
limit $1;

-- name: open
select job_id from errors.jobs where state in ('running', 'canary') order by job_id;

-- name: lease
-- Taken by one process for a while; a holder renews it.
update errors.jobs set leased_by = $2, lease_until = $3
where job_id = $1 and state in ('running', 'canary')
  and (leased_by is null or leased_by = $2 or lease_until < $4);

-- name: step
-- Only by the holder, and only from where it had come: else the step is undone.
update errors.jobs
set changed = changed + $3, skipped = skipped + $4, reached = $5, state = $6, message = $7, finished_at = $8
where job_id = $1 and leased_by = $2 and state in ('running', 'canary');

-- name: cancel
update errors.jobs set state = 'cancelled', message = $2, finished_at = $3
where job_id = $1 and state in ('running', 'canary');

-- name: outcomes
select outcome, count(*) as errors from errors.retry_history where job_id = $1 group by outcome;

-- name: waiting
-- Errors of this bulk action that are still to be sent, or were sent and not heard of. One that
-- failed has its outcome, also when it is tried again by itself: perhaps not before next month.
select count(*) as errors
from errors.dlq_errors e
where e.job_id = $1 and e.status in ('pending', 'retrying')
  and not exists (
      select 1 from errors.retry_history h
      where h.error_id = e.error_id and h.job_id = $1 and h.outcome is not null
  );

-- name: not_due
-- Errors of this bulk action that failed and are tried again by themselves, and when the first is.
select count(*) as errors, min(next_retry_at) as first_retry_at
from errors.dlq_errors
where job_id = $1 and status = 'pending' and next_retry_at > $2;

-- name: failures
select error_message, count(*) as errors from errors.retry_history
where job_id = $1 and outcome = 'failed'
group by error_message
order by 2 desc
limit 1000;
