-- Tries of tasks. Both databases.

-- name: wait
insert into ops.task_runs
    (dag_id, run_id, task_id, try_number, state, tries_left, due_at, message, command, log_file)
values ($1, $2, $3, $4, 'waiting', $5, $6, '', '', '');

-- name: start
update ops.task_runs
set state = 'running', started_at = $5, command = $6, log_file = $7
where dag_id = $1 and run_id = $2 and task_id = $3 and try_number = $4 and state = 'waiting';

-- name: finish
update ops.task_runs
set state = $5, finished_at = $6, exit_code = $7, message = $8
where dag_id = $1 and run_id = $2 and task_id = $3 and try_number = $4 and state in ('waiting', 'running');

-- name: active
select try.dag_id, try.run_id, try.task_id, try.try_number, try.state, try.tries_left, try.due_at,
    try.started_at, try.finished_at, try.exit_code, try.message, try.command, try.log_file
from ops.task_runs as try
join ops.dag_runs as run on run.dag_id = try.dag_id and run.run_id = try.run_id
where run.state in ('queued', 'running')
order by try.try_number;

-- name: of_run
select try.dag_id, try.run_id, try.task_id, try.try_number, try.state, try.tries_left, try.due_at,
    try.started_at, try.finished_at, try.exit_code, try.message, try.command, try.log_file
from ops.task_runs as try
where try.dag_id = $1 and try.run_id = $2
order by try.try_number, try.started_at, try.task_id;
