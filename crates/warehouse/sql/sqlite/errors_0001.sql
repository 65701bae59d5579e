-- The dead-letter queue: every record that could not be counted, what was done about it, by whom.

create table errors.dlq_errors (
    error_id        text    primary key,     -- UUIDv7: its order is that of first_failed_at
    topic           text    not null,        -- where it failed first; file:… for a row of a file
    partition       integer not null,
    record_offset   integer not null,
    stage           text    not null,        -- stream, batch
    record_key      blob,
    raw_payload     blob    not null,        -- exactly as received
    headers         text    not null,        -- JSON: [[name, value], …], a value that is no text as {"base64": …}
    edited_payload  blob,                    -- what is sent instead of raw_payload
    edited_headers  text,
    error_type      text    not null,
    field           text,
    error_message   text    not null,
    fingerprint     text    not null,        -- its group
    status          text    not null check (status in ('pending', 'retrying', 'exhausted', 'resolved', 'discarded')),
    status_before   text,                    -- of a discarded one: what an undo goes back to
    retry_count     integer not null default 0,
    max_retries     integer not null,
    next_retry_at   text,                    -- while pending
    lease_until     text,                    -- while retrying: when its sender is taken for dead
    retry_actor     text,                    -- who asked for the retry that is due
    job_id          text,                    -- the bulk action that touched it last
    first_failed_at text    not null,
    last_failed_at  text    not null,
    resolved_at     text,
    resolution      text,                    -- applied, already_counted, or the reason of a discard
    unique (topic, partition, record_offset)
) without rowid;

-- One index answers every filter: type, field and message belong to the group.
create index errors.dlq_errors_by_group on dlq_errors (fingerprint, status, error_id);
create index errors.dlq_errors_due on dlq_errors (next_retry_at) where status = 'pending';
create index errors.dlq_errors_leased on dlq_errors (lease_until) where status = 'retrying';
create index errors.dlq_errors_closed on dlq_errors (status, resolved_at) where resolved_at is not null;
create index errors.dlq_errors_by_job on dlq_errors (job_id) where job_id is not null;

-- One row a cause. The counts are kept with every change of a status.
create table errors.groups (
    fingerprint    text    primary key,
    error_type     text    not null,
    stage          text    not null,
    field          text,
    message        text    not null,         -- with its values masked
    sample_message text    not null,
    sample_id      text    not null,         -- an error of this group
    first_seen_at  text    not null,
    last_seen_at   text    not null,
    pending        integer not null default 0,
    retrying       integer not null default 0,
    exhausted      integer not null default 0,
    resolved       integer not null default 0,
    discarded      integer not null default 0
) without rowid;

-- New errors of a group by the hour: the sparkline.
create table errors.group_hours (
    fingerprint text    not null,
    hour        text    not null,
    errors      integer not null,
    primary key (fingerprint, hour)
) without rowid;

create table errors.retry_history (
    error_id      text    not null,
    attempt       integer not null,          -- from 1
    started_at    text    not null,
    finished_at   text,
    backoff_ms    integer not null,          -- how long it had waited for this try
    outcome       text check (outcome in ('applied', 'already_counted', 'failed')),
    error_type    text,
    error_message text,
    actor         text    not null,
    job_id        text,
    primary key (error_id, attempt)
) without rowid;

create index errors.retry_history_finished on retry_history (finished_at) where finished_at is not null;
create index errors.retry_history_by_job on retry_history (job_id) where job_id is not null;

-- Retries that failed again, by where they lay in the log: each of them is counted once.
create table errors.repeated_failures (
    topic         text    not null,
    partition     integer not null,
    record_offset integer not null,
    error_id      text    not null,
    attempt       integer not null,
    primary key (topic, partition, record_offset)
) without rowid;

create index errors.repeated_failures_by_error on repeated_failures (error_id);

-- What people did.
create table errors.actions (
    action_id integer primary key,
    at        text    not null,
    actor     text    not null,
    action    text    not null check (action in ('edit', 'undo_edit', 'retry', 'discard', 'undo_discard', 'import')),
    error_id  text    not null,
    job_id    text,
    reason    text,
    patch     text,                          -- JSON
    payload   blob,                          -- as it was after an edit
    headers   text
);

create index errors.actions_by_error on actions (error_id, action_id);

-- Actions on many errors: done in steps, each of them whole, by whoever holds the lease.
create table errors.jobs (
    job_id      text    primary key,         -- UUIDv7
    kind        text    not null check (kind in ('retry', 'edit', 'discard', 'undo_discard')),
    filter      text    not null,            -- JSON
    patch       text,                        -- JSON
    reason      text,
    actor       text    not null,
    state       text    not null check (state in ('running', 'canary', 'done', 'stopped', 'cancelled')),
    canary      integer not null,            -- errors tried first; 0 for none
    total       integer not null,            -- errors that the filter met when it began
    changed     integer not null default 0,
    skipped     integer not null default 0,
    reached     text,                        -- error_id up to which it has come
    until_id    text    not null,            -- errors that came later are not part of it
    lease_until text,
    leased_by   text,
    message     text,
    created_at  text    not null,
    finished_at text
) without rowid;

-- Where the queue's own readers go on: in ad_events_error, and in realtime.replays.
create table errors.offsets (
    topic       text    not null,
    partition   integer not null,
    next_offset integer not null,
    updated_at  text    not null,
    primary key (topic, partition)
) without rowid;

-- Errors by status, each minute: the backlog over time.
create table errors.backlog (
    minute    text    primary key,
    pending   integer not null,
    retrying  integer not null,
    exhausted integer not null,
    resolved  integer not null,
    discarded integer not null,
    arrived   integer not null               -- all that ever came
) without rowid;

-- How many failures of each partition retention has removed: the account stays whole.
create table errors.retired (
    topic     text    not null,
    partition integer not null,
    failures  integer not null,
    primary key (topic, partition)
) without rowid;
