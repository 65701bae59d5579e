-- The tables of the embedded warehouse (../sqlite/realtime_0001.sql), as PostgreSQL has them.
-- Text is compared byte by byte (collate "C"): the same order as SQLite's, and keys that cost half.

-- `create schema if not exists` asks for the right to create one even when it is there already;
-- a writer with least rights has its schemas made by roles.sql.
do $$
declare
    wanted text;
begin
    foreach wanted in array array['realtime', 'analytics', 'errors', 'ops'] loop
        if to_regnamespace(wanted) is null then
            execute format('create schema %I', wanted);
        end if;
    end loop;
end
$$;

-- The hot events, one partition a day of event time: a day is dropped, not deleted row by row.
create table realtime.events (
    event_hour       timestamptz              not null,
    event_id         text        collate "C"  not null,
    event_time       timestamptz              not null,
    click            smallint                 not null,
    banner_pos       smallint                 not null,
    device_type      smallint                 not null,
    device_conn_type smallint                 not null,
    site_id          text        collate "C"  not null,
    site_domain      text        collate "C"  not null,
    site_category    text        collate "C"  not null,
    app_id           text        collate "C"  not null,
    app_domain       text        collate "C"  not null,
    app_category     text        collate "C"  not null,
    device_id        text        collate "C"  not null,
    device_ip        text        collate "C"  not null,
    device_model     text        collate "C"  not null,
    c1               integer,
    c14              integer,
    c15              integer,
    c16              integer,
    c17              integer,
    c18              integer,
    c19              integer,
    c20              integer,
    c21              integer,
    ingested_at      timestamptz              not null,
    primary key (event_hour, event_id)
) partition by range (event_hour);

create table realtime.metrics (
    window_start     timestamptz              not null,   -- the minute
    banner_pos       smallint                 not null,
    device_type      smallint                 not null,
    device_conn_type smallint                 not null,
    site_category    text        collate "C"  not null,
    app_category     text        collate "C"  not null,
    impressions      bigint                   not null check (impressions >= 0),
    clicks           bigint                   not null check (clicks between 0 and impressions),
    primary key (window_start, banner_pos, device_type, device_conn_type, site_category, app_category)
);

create table realtime.metrics_hourly (
    window_start     timestamptz              not null,   -- the hour
    banner_pos       smallint                 not null,
    device_type      smallint                 not null,
    device_conn_type smallint                 not null,
    site_category    text        collate "C"  not null,
    app_category     text        collate "C"  not null,
    impressions      bigint                   not null check (impressions >= 0),
    clicks           bigint                   not null check (clicks between 0 and impressions),
    primary key (window_start, banner_pos, device_type, device_conn_type, site_category, app_category)
) with (fillfactor = 70);   -- rows are added to over and over: room to do so in place

create view realtime.metrics_5m as
select date_bin('5 minutes', window_start, timestamptz '2000-01-01 00:00:00+00') as window_start,
       banner_pos, device_type, device_conn_type, site_category, app_category,
       sum(impressions)::bigint as impressions,
       sum(clicks)::bigint as clicks
from realtime.metrics
group by 1, 2, 3, 4, 5, 6;

-- Where the stream processor goes on. The row is also the fence: a commit only
-- succeeds when next_offset is what the processor started from.
create table realtime.offsets (
    topic        text        collate "C"  not null,
    partition    integer                  not null,
    next_offset  bigint                   not null,
    updated_at   timestamptz              not null,
    primary key (topic, partition)
) with (fillfactor = 10);   -- a few rows, rewritten by every commit

-- The account: one row for each partition of each micro-batch, written with its effects.
-- records = valid + duplicates + the five kinds of invalid.
create table realtime.commits (
    commit_id      bigint generated always as identity primary key,
    topic          text        collate "C"  not null,
    partition      integer                  not null,
    first_offset   bigint                   not null,
    next_offset    bigint                   not null,
    committed_at   timestamptz              not null,
    records        bigint                   not null,
    valid          bigint                   not null,
    clicks         bigint                   not null,
    duplicates     bigint                   not null,
    parse          bigint                   not null,
    schema         bigint                   not null,
    validation     bigint                   not null,
    future         bigint                   not null,
    sink           bigint                   not null,
    late           bigint                   not null,
    float_ids      bigint                   not null,
    unknown_fields bigint                   not null,
    latency_counts text                     not null,     -- records per latency bucket, separated by spaces
    check (records = valid + duplicates + parse + schema + validation + future + sink),
    check (records <= next_offset - first_offset)
);

create index commits_by_time on realtime.commits (committed_at);
create index commits_by_offset on realtime.commits (topic, partition, first_offset);
