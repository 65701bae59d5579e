-- The tables of ../sqlite/errors_0001.sql and realtime_0002.sql, as PostgreSQL has them.
--
-- The dead-letter queue: every record that could not be counted, what was done about it, by whom.

create table errors.dlq_errors (
    error_id        uuid         primary key,
    topic           text         collate "C"  not null,
    partition       integer      not null,
    record_offset   bigint       not null,
    stage           text         collate "C"  not null,
    record_key      bytea,
    raw_payload     bytea        not null,
    headers         text         not null,
    edited_payload  bytea,
    edited_headers  text,
    error_type      text         collate "C"  not null,
    field           text         collate "C",
    error_message   text         not null,
    fingerprint     text         collate "C"  not null,
    status          text         collate "C"  not null check (status in ('pending', 'retrying', 'exhausted', 'resolved', 'discarded')),
    status_before   text         collate "C",
    retry_count     integer      not null default 0,
    max_retries     integer      not null,
    next_retry_at   timestamptz,
    lease_until     timestamptz,
    retry_actor     text         collate "C",
    job_id          uuid,
    first_failed_at timestamptz  not null,
    last_failed_at  timestamptz  not null,
    resolved_at     timestamptz,
    resolution      text         collate "C",
    unique (topic, partition, record_offset)
);

-- One index answers every filter: type, field and message belong to the group.
create index dlq_errors_by_group on errors.dlq_errors (fingerprint, status, error_id);
create index dlq_errors_due on errors.dlq_errors (next_retry_at) where status = 'pending';
create index dlq_errors_leased on errors.dlq_errors (lease_until) where status = 'retrying';
create index dlq_errors_closed on errors.dlq_errors (status, resolved_at) where resolved_at is not null;
create index dlq_errors_by_job on errors.dlq_errors (job_id) where job_id is not null;

-- One row a cause. The counts are kept with every change of a status.
create table errors.groups (
    fingerprint    text        collate "C"  primary key,
    error_type     text        collate "C"  not null,
    stage          text        collate "C"  not null,
    field          text        collate "C",
    message        text        not null,
    sample_message text        not null,
    sample_id      uuid        not null,
    first_seen_at  timestamptz not null,
    last_seen_at   timestamptz not null,
    pending        bigint      not null default 0,
    retrying       bigint      not null default 0,
    exhausted      bigint      not null default 0,
    resolved       bigint      not null default 0,
    discarded      bigint      not null default 0
) with (fillfactor = 50);   -- counts, rewritten over and over

-- New errors of a group by the hour: the sparkline.
create table errors.group_hours (
    fingerprint text        collate "C"  not null,
    hour        timestamptz not null,
    errors      bigint      not null,
    primary key (fingerprint, hour)
);

create table errors.retry_history (
    error_id      uuid         not null,
    attempt       integer      not null,
    started_at    timestamptz  not null,
    finished_at   timestamptz,
    backoff_ms    bigint       not null,
    outcome       text         collate "C" check (outcome in ('applied', 'already_counted', 'failed')),
    error_type    text         collate "C",
    error_message text,
    actor         text         collate "C"  not null,
    job_id        uuid,
    primary key (error_id, attempt)
);

create index retry_history_finished on errors.retry_history (finished_at) where finished_at is not null;
create index retry_history_by_job on errors.retry_history (job_id) where job_id is not null;

-- Retries that failed again, by where they lay in the log: each of them is counted once.
create table errors.repeated_failures (
    topic         text    collate "C"  not null,
    partition     integer not null,
    record_offset bigint  not null,
    error_id      uuid    not null,
    attempt       integer not null,
    primary key (topic, partition, record_offset)
);

create index repeated_failures_by_error on errors.repeated_failures (error_id);

-- What people did.
create table errors.actions (
    action_id bigint      generated always as identity primary key,
    at        timestamptz not null,
    actor     text        collate "C"  not null,
    action    text        collate "C"  not null check (action in ('edit', 'undo_edit', 'retry', 'discard', 'undo_discard', 'import')),
    error_id  uuid        not null,
    job_id    uuid,
    reason    text,
    patch     text,
    payload   bytea,
    headers   text
);

create index actions_by_error on errors.actions (error_id, action_id);

-- Actions on many errors: done in steps, each of them whole, by whoever holds the lease.
create table errors.jobs (
    job_id      uuid         primary key,
    kind        text         collate "C"  not null check (kind in ('retry', 'edit', 'discard', 'undo_discard')),
    filter      text         not null,
    patch       text,
    reason      text,
    actor       text         collate "C"  not null,
    state       text         collate "C"  not null check (state in ('running', 'canary', 'done', 'stopped', 'cancelled')),
    canary      integer      not null,
    total       bigint       not null,
    changed     bigint       not null default 0,
    skipped     bigint       not null default 0,
    reached     uuid,
    until_id    uuid         not null,
    lease_until timestamptz,
    leased_by   text         collate "C",
    message     text,
    created_at  timestamptz  not null,
    finished_at timestamptz
);

-- Where the queue's own readers go on: in ad_events_error, and in realtime.replays.
create table errors.offsets (
    topic       text        collate "C"  not null,
    partition   integer     not null,
    next_offset bigint      not null,
    updated_at  timestamptz not null,
    primary key (topic, partition)
);

-- Errors by status, each minute: the backlog over time.
create table errors.backlog (
    minute    timestamptz primary key,
    pending   bigint      not null,
    retrying  bigint      not null,
    exhausted bigint      not null,
    resolved  bigint      not null,
    discarded bigint      not null,
    arrived   bigint      not null
);

-- How many failures of each partition retention has removed: the account stays whole.
create table errors.retired (
    topic     text    collate "C"  not null,
    partition integer not null,
    failures  bigint  not null,
    primary key (topic, partition)
);

-- What became of records that the dead-letter queue sent again, written with their effects. Read by
-- the queue up to the stored offset of the partition, and removed after a week.
create table realtime.replays (
    topic         text        collate "C"  not null,
    partition     integer     not null,
    record_offset bigint      not null,
    error_id      text        not null,
    attempt       integer     not null,
    outcome       text        collate "C"  not null check (outcome in ('applied', 'already_counted')),
    committed_at  timestamptz not null,
    primary key (topic, partition, record_offset)
);
