-- Monitoring: what was measured, which alerts there are and were, who silenced what
-- (../sqlite/ops_0004.sql).

-- One row a process that plays a role of the pipeline. One that ended in order has ended_at; one
-- that is silent without it is down.
create table ops.processes (
    process         text collate "C" primary key,    -- host:pid:start, unlike any other
    host            text not null,
    pid             bigint not null,
    roles           text not null,       -- "stream dlq scheduler console monitor", those it plays
    version         text not null,
    started_at      timestamptz not null,
    seen_at         timestamptz not null,
    ended_at        timestamptz
);

-- What a process uses, every 15 s. Counters grow from its start on.
create table ops.process_samples (
    at              timestamptz not null,
    process         text collate "C" not null,
    cpu_seconds     double precision not null,
    memory_bytes    bigint not null,     -- resident
    open_files      bigint not null,
    disk_free       bigint,              -- bytes, where its data lies; null when it keeps none
    disk_size       bigint,
    primary key (at, process)
);

-- What a signal of the alerts measured, every 15 s: the history behind charts and alerts.
create table ops.readings (
    at              timestamptz not null,
    signal          text collate "C" not null,
    labels          text collate "C" not null,              -- JSON object with sorted keys; {} for none
    value           double precision not null,
    primary key (signal, labels, at)
);
create index readings_by_time on ops.readings (at);

-- One row for each time that an alert came up. A pending one that passes by itself is deleted.
create table ops.alerts (
    alert_id        text collate "C" primary key,  -- ids sort by time
    rule            text collate "C" not null,     -- its name in config/alerts.toml
    labels          text collate "C" not null,
    severity        text not null check (severity in ('critical', 'warning')),
    state           text not null check (state in ('pending', 'firing', 'resolved')),
    value           double precision not null,     -- newest
    worst           double precision not null,
    threshold       double precision not null,
    context         text not null,    -- JSON: what a person has to know beside it, as causes
    pending_since   timestamptz not null,
    firing_since    timestamptz,
    resolved_at     timestamptz,
    updated_at      timestamptz not null,
    acknowledged_at timestamptz,
    acknowledged_by text,
    note            text not null,
    -- Which of its changes the notifier has taken: '', 'firing', 'resolved'.
    announced       text not null check (announced in ('', 'firing', 'resolved'))
);
create unique index alerts_one_open on ops.alerts (rule, labels) where state <> 'resolved';
create index alerts_by_time on ops.alerts (pending_since);

-- While a silence lasts its alerts are shown and not sent.
create table ops.silences (
    silence_id      text collate "C" primary key,
    rule            text collate "C" not null,          -- '' for every rule
    labels          text collate "C" not null,          -- those that an alert must have; {} for any
    starts_at       timestamptz not null,
    ends_at         timestamptz not null,
    comment         text not null,
    created_by      text not null,
    created_at      timestamptz not null
);
