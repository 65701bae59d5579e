-- The embedded event log. One row of `chunks` is a compressed run of records
-- with consecutive offsets; one row of `partitions` says which offset comes next,
-- so that offsets stay dense even after every chunk has been retired.
create table partitions (
    topic        text    not null,
    partition    integer not null,
    next_offset  integer not null default 0,
    primary key (topic, partition)
) without rowid;

create table chunks (
    chunk_id     integer primary key,
    topic        text    not null,
    partition    integer not null,
    base_offset  integer not null,
    records      integer not null,
    raw_bytes    integer not null,
    stored_bytes integer not null,
    crc32        integer not null,
    appended_at  integer not null,   -- milliseconds since the Unix epoch, UTC
    data         blob    not null,   -- zstd; layout in src/chunk.rs
    unique (topic, partition, base_offset)
);

create index chunks_by_age on chunks (appended_at);

-- How far a source (a file being ingested) has come. Written in the transaction
-- that appends its records, so a killed ingest goes on exactly where it stopped.
create table sources (
    source       text    primary key,
    position     integer not null,
    updated_at   integer not null
) without rowid;
