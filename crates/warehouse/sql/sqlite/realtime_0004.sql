-- Parts of the archive can be checked by themselves, runs of batch are on record, and records whose
-- hour cannot be checked against the archive are counted in a column of their own.

-- XXH3-128 of the whole file as it was written, hexadecimal. Null for parts from before: the next
-- run of batch compares them with this list and sets it.
alter table realtime.archive_parts add column hash text;

-- One row a run of batch, stored before the run writes its first file: each file carries its run.
create table realtime.etl_runs (
    run_id      text    primary key,
    started_at  text    not null,
    finished_at text                      -- null: it runs, or did not come to its end
) without rowid;

-- Hours with a part that is missing or damaged: their events wait in the dead-letter queue.
create table realtime.unreadable_hours (
    event_hour text    primary key,
    reason     text    not null,
    since      text    not null
) without rowid;

-- realtime.commits and realtime.files again, with a sixth kind of invalid: SQLite cannot change a
-- check of a table.
create table realtime.commits_new (
    commit_id      integer primary key,
    topic          text    not null,
    partition      integer not null,
    first_offset   integer not null,
    next_offset    integer not null,
    committed_at   text    not null,
    records        integer not null,
    valid          integer not null,
    clicks         integer not null,
    duplicates     integer not null,
    parse          integer not null,
    schema         integer not null,
    validation     integer not null,
    future         integer not null,
    sink           integer not null,
    archive        integer not null default 0,
    late           integer not null,
    float_ids      integer not null,
    unknown_fields integer not null,
    latency_counts text    not null,     -- records per latency bucket, separated by spaces
    check (records = valid + duplicates + parse + schema + validation + future + sink + archive),
    check (records <= next_offset - first_offset)  -- kafka leaves gaps
);

insert into realtime.commits_new (
    commit_id, topic, partition, first_offset, next_offset, committed_at, records, valid, clicks, duplicates,
    parse, schema, validation, future, sink, late, float_ids, unknown_fields, latency_counts
)
select commit_id, topic, partition, first_offset, next_offset, committed_at, records, valid, clicks, duplicates,
       parse, schema, validation, future, sink, late, float_ids, unknown_fields, latency_counts
from realtime.commits
order by commit_id;

drop table realtime.commits;
alter table realtime.commits_new rename to commits;
create index realtime.commits_by_time on commits (committed_at);
create index realtime.commits_by_offset on commits (topic, partition, first_offset);

create table realtime.files_new (
    path           text    not null,
    content        text    not null,      -- hash of the content when it was first seen
    reading        integer not null,      -- 2 and so on: read again by --force
    size           integer not null,      -- bytes read of the file as it lies there
    size_hash      text    not null,      -- hash of these bytes
    modified       text    not null,      -- the file's own time when it was read, nanoseconds
    state          text    not null check (state in ('reading', 'done', 'damaged', 'replaced')),
    message        text    not null,
    position       integer not null,      -- uncompressed bytes that are committed
    next_row       integer not null,
    tail_position  integer not null,      -- where a last line without a line end begins; -1 for none
    tail_is_event  integer not null,
    records        integer not null,
    valid          integer not null,
    clicks         integer not null,
    duplicates     integer not null,
    parse          integer not null,
    schema         integer not null,
    validation     integer not null,
    future         integer not null,
    sink           integer not null,
    archive        integer not null default 0,
    float_ids      integer not null,
    unknown_fields integer not null,
    first_event    text,
    last_event     text,
    started_at     text    not null,
    updated_at     text    not null,
    primary key (path, content, reading),
    check (records = valid + duplicates + parse + schema + validation + future + sink + archive)
) without rowid;

insert into realtime.files_new (
    path, content, reading, size, size_hash, modified, state, message, position, next_row,
    tail_position, tail_is_event, records, valid, clicks, duplicates, parse, schema, validation, future, sink,
    float_ids, unknown_fields, first_event, last_event, started_at, updated_at
)
select path, content, reading, size, size_hash, modified, state, message, position, next_row,
       tail_position, tail_is_event, records, valid, clicks, duplicates, parse, schema, validation, future, sink,
       float_ids, unknown_fields, first_event, last_event, started_at, updated_at
from realtime.files;

drop table realtime.files;
alter table realtime.files_new rename to files;
