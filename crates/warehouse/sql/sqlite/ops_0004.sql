-- Monitoring: what was measured, which alerts there are and were, who silenced what. Times are
-- UTC text.

-- One row a process that plays a role of the pipeline. One that ended in order has ended_at; one
-- that is silent without it is down.
create table ops.processes (
    process    text    primary key,    -- host:pid:start, unlike any other
    host       text    not null,
    pid        integer not null,
    roles      text    not null,       -- "stream dlq scheduler console monitor", those it plays
    version    text    not null,
    started_at text    not null,
    seen_at    text    not null,
    ended_at   text
) without rowid;

-- What a process uses, every 15 s. Counters grow from its start on.
create table ops.process_samples (
    at           text    not null,
    process      text    not null,
    cpu_seconds  real    not null,
    memory_bytes integer not null,     -- resident
    open_files   integer not null,
    disk_free    integer,              -- bytes, where its data lies; null when it keeps none
    disk_size    integer,
    primary key (at, process)
) without rowid;

-- What a signal of the alerts measured, every 15 s: the history behind charts and alerts.
create table ops.readings (
    at     text not null,
    signal text not null,
    labels text not null,              -- JSON object with sorted keys; {} for none
    value  real not null,
    primary key (signal, labels, at)
) without rowid;
create index ops.readings_by_time on readings (at);

-- One row for each time that an alert came up. A pending one that passes by itself is deleted.
create table ops.alerts (
    alert_id        text primary key,  -- ids sort by time
    rule            text not null,     -- its name in config/alerts.toml
    labels          text not null,
    severity        text not null check (severity in ('critical', 'warning')),
    state           text not null check (state in ('pending', 'firing', 'resolved')),
    value           real not null,     -- newest
    worst           real not null,
    threshold       real not null,
    context         text not null,     -- JSON: what a person has to know beside it, as causes
    pending_since   text not null,
    firing_since    text,
    resolved_at     text,
    updated_at      text not null,
    acknowledged_at text,
    acknowledged_by text,
    note            text not null,
    -- Which of its changes the notifier has taken: '', 'firing', 'resolved'.
    announced       text not null check (announced in ('', 'firing', 'resolved'))
) without rowid;
create unique index ops.alerts_one_open on alerts (rule, labels) where state <> 'resolved';
create index ops.alerts_by_time on alerts (pending_since);

-- While a silence lasts its alerts are shown and not sent.
create table ops.silences (
    silence_id text primary key,
    rule       text not null,          -- '' for every rule
    labels     text not null,          -- those that an alert must have; {} for any
    starts_at  text not null,
    ends_at    text not null,
    comment    text not null,
    created_by text not null,
    created_at text not null
) without rowid;
