-- What batch read, for people, the console and the DAGs: copied from realtime.files, which is what
-- counts, after each file.
create table ops.ingest_files (
    path           text    not null,
    content        text    not null,
    reading        integer not null,
    size           integer not null,
    state          text    not null,
    message        text    not null,
    records        integer not null,
    valid          integer not null,
    clicks         integer not null,
    invalid        integer not null,
    duplicates     integer not null,
    float_ids      integer not null,
    first_event    text,
    last_event     text,
    started_at     text    not null,
    updated_at     text    not null,
    primary key (path, content, reading)
) without rowid;
