-- Schema realtime: what must commit together lives in one file.
-- Times are UTC text, YYYY-MM-DD HH:MM:SS, with .fff behind it where there is a fraction.

-- The hot events. A rowid table beside its key is faster here than a clustered one:
-- batches arrive sorted by the key, rows are appended, only the narrow key tree is searched.
create table realtime.events (
    event_hour       text    not null,
    event_id         text    not null,
    event_time       text    not null,
    click            integer not null,
    banner_pos       integer not null,
    device_type      integer not null,
    device_conn_type integer not null,
    site_id          text    not null,
    site_domain      text    not null,
    site_category    text    not null,
    app_id           text    not null,
    app_domain       text    not null,
    app_category     text    not null,
    device_id        text    not null,
    device_ip        text    not null,
    device_model     text    not null,
    c1               integer,
    c14              integer,
    c15              integer,
    c16              integer,
    c17              integer,
    c18              integer,
    c19              integer,
    c20              integer,
    c21              integer,
    ingested_at      text    not null,
    primary key (event_hour, event_id)
);

create table realtime.metrics (
    window_start     text    not null,   -- the minute
    banner_pos       integer not null,
    device_type      integer not null,
    device_conn_type integer not null,
    site_category    text    not null,
    app_category     text    not null,
    impressions      integer not null check (impressions >= 0),
    clicks           integer not null check (clicks between 0 and impressions),
    primary key (window_start, banner_pos, device_type, device_conn_type, site_category, app_category)
) without rowid;

create table realtime.metrics_hourly (
    window_start     text    not null,   -- the hour
    banner_pos       integer not null,
    device_type      integer not null,
    device_conn_type integer not null,
    site_category    text    not null,
    app_category     text    not null,
    impressions      integer not null check (impressions >= 0),
    clicks           integer not null check (clicks between 0 and impressions),
    primary key (window_start, banner_pos, device_type, device_conn_type, site_category, app_category)
) without rowid;

create view realtime.metrics_5m as
select strftime('%Y-%m-%d %H:%M:%S', unixepoch(window_start) / 300 * 300, 'unixepoch') as window_start,
       banner_pos, device_type, device_conn_type, site_category, app_category,
       sum(impressions) as impressions,
       sum(clicks) as clicks
from metrics
group by 1, 2, 3, 4, 5, 6;

-- Where the stream processor goes on. The row is also the fence: a commit only
-- succeeds when next_offset is what the processor started from.
create table realtime.offsets (
    topic        text    not null,
    partition    integer not null,
    next_offset  integer not null,
    updated_at   text    not null,
    primary key (topic, partition)
) without rowid;

-- The account: one row for each partition of each micro-batch, written with its effects.
-- records = valid + duplicates + the five kinds of invalid.
create table realtime.commits (
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
    late           integer not null,
    float_ids      integer not null,
    unknown_fields integer not null,
    latency_counts text    not null,     -- records per latency bucket, separated by spaces
    check (records = valid + duplicates + parse + schema + validation + future + sink),
    check (records <= next_offset - first_offset)  -- kafka leaves gaps
);

create index realtime.commits_by_time on commits (committed_at);
create index realtime.commits_by_offset on commits (topic, partition, first_offset);
