-- Who schedules, and what was run. Times are UTC text.

-- One row. Whoever changes a run's state raises `beat` of its own `epoch` in the same transaction,
-- so that a scheduler that has been replaced changes nothing any more.
create table ops.scheduler_lease (
    name       text primary key,
    owner      text not null,
    epoch      integer not null,
    beat       integer not null,
    ttl_ms     integer not null,
    process    text not null,
    released   integer not null,
    renewed_at text not null
);

-- Since when a DAG is known: what was due before is not caught up with.
create table ops.dags (
    dag_id        text primary key,
    first_seen_at text not null
);

create table ops.dag_runs (
    dag_id              text not null,
    run_id              text not null,
    kind                text not null check (kind in ('scheduled', 'triggered', 'manual', 'backfill')),
    -- The data interval, for kinds that may have each interval only once.
    slot                text,
    interval_start      text not null,
    interval_end        text not null,
    state               text not null check (state in ('queued', 'running', 'success', 'failed', 'cancelled')),
    -- Counted up when a finished run is run again.
    attempt             integer not null,
    -- The run that triggered it, or the backfill that it belongs to.
    cause               text not null,
    cancel_requested_at text,
    message             text not null,
    queued_at           text not null,
    started_at          text,
    finished_at         text,
    primary key (dag_id, run_id),
    unique (dag_id, slot)
);
-- No two runs of a DAG at once.
create unique index ops.dag_runs_one_running on dag_runs (dag_id) where state = 'running';
create index ops.dag_runs_active on dag_runs (state) where state in ('queued', 'running');
create index ops.dag_runs_by_interval on dag_runs (dag_id, interval_end);

-- One row a try; a task is in the state of its newest.
create table ops.task_runs (
    dag_id      text not null,
    run_id      text not null,
    task_id     text not null,
    try_number  integer not null,
    state       text not null
                check (state in ('waiting', 'running', 'success', 'failed', 'upstream_failed', 'cancelled')),
    tries_left  integer not null,
    due_at      text not null,
    started_at  text,
    finished_at text,
    exit_code   integer,
    message     text not null,
    command     text not null,
    log_file    text not null,
    primary key (dag_id, run_id, task_id, try_number)
);
create index ops.task_runs_running on task_runs (state) where state in ('waiting', 'running');
