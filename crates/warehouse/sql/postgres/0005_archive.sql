-- The archive's list and the account of raw files (../sqlite/realtime_0003.sql, ops_0003.sql).

-- One row a Parquet file. A file in the archive's folder that no row names does not count.
create table realtime.archive_parts (
    path        text collate "C"  primary key,      -- below the archive's folder
    event_date  text collate "C"  not null,         -- YYYY-MM-DD
    first_event timestamptz       not null,
    last_event  timestamptz       not null,
    rows        bigint            not null check (rows > 0),
    clicks      bigint            not null check (clicks between 0 and rows),
    bytes       bigint            not null,
    source      text collate "C"  not null check (source in ('file', 'stream', 'merged')),
    created_at  timestamptz       not null
);

-- What each file holds of each hour.
create table realtime.archive_part_hours (
    event_hour  timestamptz       not null,
    path        text collate "C"  not null,
    rows        bigint            not null check (rows > 0),
    clicks      bigint            not null check (clicks between 0 and rows),
    primary key (event_hour, path)
);

create index archive_part_hours_by_path on realtime.archive_part_hours (path);

-- One row an hour that has events in the archive. hot_copies of them are in realtime.events, too;
-- whatever else realtime.events has of that hour is not archived. version grows with each part.
create table realtime.hours (
    event_hour      timestamptz   primary key,
    version         bigint        not null,
    archived_rows   bigint        not null,
    archived_clicks bigint        not null check (archived_clicks between 0 and archived_rows),
    hot_copies      bigint        not null check (hot_copies between 0 and archived_rows)
) with (fillfactor = 50);

-- Figures by the minute are whole from here on only: of older hours batch adds none.
create table realtime.minutes_floor (
    id         integer     primary key check (id = 1),
    kept_since timestamptz not null
);

-- The account of raw files, one row a reading of a content:
-- records = valid + duplicates + the five kinds of invalid.
create table realtime.files (
    path           text collate "C"  not null,
    content        text collate "C"  not null,      -- hash of the content when it was first seen
    reading        bigint            not null,      -- 2 and so on: read again by --force
    size           bigint            not null,      -- bytes read of the file as it lies there
    size_hash      text collate "C"  not null,      -- hash of these bytes
    modified       text collate "C"  not null,      -- the file's own time when it was read, nanoseconds
    state          text collate "C"  not null check (state in ('reading', 'done', 'damaged', 'replaced')),
    message        text              not null,
    position       bigint            not null,      -- uncompressed bytes that are committed
    next_row       bigint            not null,
    tail_position  bigint            not null,      -- where a last line without a line end begins; -1 for none
    tail_is_event  bigint            not null,
    records        bigint            not null,
    valid          bigint            not null,
    clicks         bigint            not null,
    duplicates     bigint            not null,
    parse          bigint            not null,
    schema         bigint            not null,
    validation     bigint            not null,
    future         bigint            not null,
    sink           bigint            not null,
    float_ids      bigint            not null,
    unknown_fields bigint            not null,
    first_event    timestamptz,
    last_event     timestamptz,
    started_at     timestamptz       not null,
    updated_at     timestamptz       not null,
    primary key (path, content, reading),
    check (records = valid + duplicates + parse + schema + validation + future + sink)
);

-- What batch read, for people, the console and the DAGs: copied from realtime.files, which is what
-- counts, after each file.
create table ops.ingest_files (
    path           text collate "C"  not null,
    content        text collate "C"  not null,
    reading        bigint            not null,
    size           bigint            not null,
    state          text collate "C"  not null,
    message        text              not null,
    records        bigint            not null,
    valid          bigint            not null,
    clicks         bigint            not null,
    invalid        bigint            not null,
    duplicates     bigint            not null,
    float_ids      bigint            not null,
    first_event    timestamptz,
    last_event     timestamptz,
    started_at     timestamptz       not null,
    updated_at     timestamptz       not null,
    primary key (path, content, reading)
);
