-- Runs of DAGs. Both databases.

-- name: see_dag
insert into ops.dags (dag_id, first_seen_at) values ($1, $2) on conflict (dag_id) do nothing;

-- name: see_dag_anew
-- Its first moment is in the future: the clock was wrong then.
update ops.dags set first_seen_at = $2 where dag_id = $1;

-- name: seen_dags
select dag_id, first_seen_at as moment from ops.dags;

-- name: insert
-- A slot that is there already stays as it is.
insert into ops.dag_runs
    (dag_id, run_id, kind, slot, interval_start, interval_end, state, attempt, cause, message, queued_at)
values ($1, $2, $3, $4, $5, $6, 'queued', 1, $7, '', $8)
on conflict do nothing;

-- name: start
update ops.dag_runs
set state = 'running', started_at = $3, finished_at = null, message = ''
where dag_id = $1 and run_id = $2 and state = 'queued'
    and not exists (select 1 from ops.dag_runs as other where other.dag_id = $1 and other.state = 'running');

-- name: finish
update ops.dag_runs
set state = $3, finished_at = $4, message = $5
where dag_id = $1 and run_id = $2 and state in ('queued', 'running');

-- name: cancel_queued
update ops.dag_runs
set state = 'cancelled', finished_at = $3, message = 'cancelled before it began'
where dag_id = $1 and run_id = $2 and state = 'queued';

-- name: request_cancel
update ops.dag_runs
set cancel_requested_at = $3
where dag_id = $1 and run_id = $2 and state = 'running' and cancel_requested_at is null;

-- name: again
update ops.dag_runs
set state = 'queued', attempt = attempt + 1, cancel_requested_at = null, message = '', queued_at = $3,
    started_at = null, finished_at = null
where dag_id = $1 and run_id = $2 and state in ('success', 'failed', 'cancelled');

-- name: again_as
-- For another cause.
update ops.dag_runs
set state = 'queued', attempt = attempt + 1, cancel_requested_at = null, message = '', queued_at = $3,
    started_at = null, finished_at = null, kind = $4, cause = $5
where dag_id = $1 and run_id = $2 and state in ('success', 'failed', 'cancelled');

-- name: active
select dag_id, run_id, kind, interval_start, interval_end, state, attempt, cause,
    cancel_requested_at, message, queued_at, started_at, finished_at
from ops.dag_runs
where state in ('queued', 'running')
order by queued_at, interval_start, run_id;

-- name: one
select dag_id, run_id, kind, interval_start, interval_end, state, attempt, cause,
    cancel_requested_at, message, queued_at, started_at, finished_at
from ops.dag_runs
where dag_id = $1 and run_id = $2;

-- name: at_slot
select dag_id, run_id, kind, interval_start, interval_end, state, attempt, cause,
    cancel_requested_at, message, queued_at, started_at, finished_at
from ops.dag_runs
where dag_id = $1 and slot = $2;

-- name: newest
select dag_id, run_id, kind, interval_start, interval_end, state, attempt, cause,
    cancel_requested_at, message, queued_at, started_at, finished_at
from ops.dag_runs
where dag_id = $1
order by interval_end desc, queued_at desc
limit $2;

-- name: newest_ended
select dag_id, run_id, kind, interval_start, interval_end, state, attempt, cause,
    cancel_requested_at, message, queued_at, started_at, finished_at
from ops.dag_runs
where dag_id = $1 and state in ('success', 'failed')
order by finished_at desc, run_id desc
limit $2;

-- name: newest_of_all
select dag_id, run_id, kind, interval_start, interval_end, state, attempt, cause,
    cancel_requested_at, message, queued_at, started_at, finished_at
from ops.dag_runs
order by queued_at desc, run_id desc
limit $1;

-- name: of_cause
select dag_id, run_id, kind, interval_start, interval_end, state, attempt, cause,
    cancel_requested_at, message, queued_at, started_at, finished_at
from ops.dag_runs
where dag_id = $1 and cause = $2
order by interval_start;

-- name: last_success
select dag_id, max(finished_at) as moment from ops.dag_runs where state = 'success' group by dag_id;

-- name: forgettable
select dag_id, run_id from ops.dag_runs
where state in ('success', 'failed', 'cancelled') and finished_at < $1
order by finished_at
limit 500;

-- name: forget
delete from ops.dag_runs where dag_id = $1 and run_id = $2;

-- name: forget_tries_of
delete from ops.task_runs where dag_id = $1 and run_id = $2;
