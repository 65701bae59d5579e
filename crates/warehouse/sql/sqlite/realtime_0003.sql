-- The archive's list and the account of raw files: they change in the transactions that change
-- events and figures, so they lie in the same file.

-- One row a Parquet file. A file in the archive's folder that no row names does not count.
create table realtime.archive_parts (
    path        text    primary key,      -- below the archive's folder
    event_date  text    not null,         -- YYYY-MM-DD
    first_event text    not null,
    last_event  text    not null,
    rows        integer not null check (rows > 0),
    clicks      integer not null check (clicks between 0 and rows),
    bytes       integer not null,
    source      text    not null check (source in ('file', 'stream', 'merged')),
    created_at  text    not null
) without rowid;

-- What each file holds of each hour.
create table realtime.archive_part_hours (
    event_hour  text    not null,
    path        text    not null,
    rows        integer not null check (rows > 0),
    clicks      integer not null check (clicks between 0 and rows),
    primary key (event_hour, path)
) without rowid;

create index realtime.archive_part_hours_by_path on archive_part_hours (path);

-- One row an hour that has events in the archive. hot_copies of them are in realtime.events, too;
-- whatever else realtime.events has of that hour is not archived. version grows with each part.
create table realtime.hours (
    event_hour      text    primary key,
    version         integer not null,
    archived_rows   integer not null,
    archived_clicks integer not null check (archived_clicks between 0 and archived_rows),
    hot_copies      integer not null check (hot_copies between 0 and archived_rows)
) without rowid;

-- Figures by the minute are whole from here on only: of older hours batch adds none.
create table realtime.minutes_floor (
    id         integer primary key check (id = 1),
    kept_since text    not null
);

-- The account of raw files, one row a reading of a content:
-- records = valid + duplicates + the five kinds of invalid.
create table realtime.files (
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
    float_ids      integer not null,
    unknown_fields integer not null,
    first_event    text,
    last_event     text,
    started_at     text    not null,
    updated_at     text    not null,
    primary key (path, content, reading),
    check (records = valid + duplicates + parse + schema + validation + future + sink)
) without rowid;
