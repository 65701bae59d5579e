-- Who schedules, and what was run.

-- One row. Whoever changes a run's state raises `beat` of its own `epoch` in the same transaction,
-- so that a scheduler that has been replaced changes nothing any more.
create table ops.scheduler_lease (
    name       text primary key,
    owner      text not null,
    epoch      bigint not null,
    beat       bigint not null,
    ttl_ms     bigint not null,
    process    text not null,
    released   bigint not null,
    renewed_at timestamptz not null
);

-- Since when a DAG is known: what was due before is not caught up with.
create table ops.dags (
    dag_id        text primary key,
    first_seen_at timestamptz not null
);

create table ops.dag_runs (
    dag_id              text not null,
    run_id              text not null,
    kind                text not null check (kind in ('scheduled', 'triggered', 'manual', 'backfill')),
    -- The data interval, for kinds that may have each interval only once.
    slot                text,
    interval_start      timestamptz not null,
    interval_end        timestamptz not null,
    state               text not null check (state in ('queued', 'running', 'success', 'failed', 'cancelled')),
    -- Counted up when a finished run is run again.
    attempt             bigint not null,
    -- The run that triggered it, or the backfill that it belongs to.
    cause               text not null,
    cancel_requested_at timestamptz,
    message             text not null,
    queued_at           timestamptz not null,
    started_at          timestamptz,
    finished_at         timestamptz,
    primary key (dag_id, run_id),
    unique (dag_id, slot)
);
-- No two runs of a DAG at once.
create unique index dag_runs_one_running on ops.dag_runs (dag_id) where state = 'running';
create index dag_runs_active on ops.dag_runs (state) where state in ('queued', 'running');
create index dag_runs_by_interval on ops.dag_runs (dag_id, interval_end);

-- One row a try; a task is in the state of its newest.
create table ops.task_runs (
    dag_id      text not null,
    run_id      text not null,
    task_id     text not null,
    try_number  bigint not null,
    state       text not null
                check (state in ('waiting', 'running', 'success', 'failed', 'upstream_failed', 'cancelled')),
    tries_left  bigint not null,
    due_at      timestamptz not null,
    started_at  timestamptz,
    finished_at timestamptz,
    exit_code   bigint,
    message     text not null,
    command     text not null,
    log_file    text not null,
    primary key (dag_id, run_id, task_id, try_number)
);
create index task_runs_running on ops.task_runs (state) where state in ('waiting', 'running');
