-- What the console shows. Parameters are named $1, $2 … in the order of their first use.

-- name: totals
-- Every record ever judged, by the way it came: the stream's commits and raw files. Lateness is a matter
-- of the stream alone.
select 'stream' as way, coalesce(sum(records), 0) as records, coalesce(sum(valid), 0) as valid,
       coalesce(sum(clicks), 0) as clicks, coalesce(sum(duplicates), 0) as duplicates,
       coalesce(sum(parse), 0) as parse, coalesce(sum(schema), 0) as schema,
       coalesce(sum(validation), 0) as validation, coalesce(sum(future), 0) as future,
       coalesce(sum(sink), 0) as sink, coalesce(sum(archive), 0) as archive,
       coalesce(sum(late), 0) as late, coalesce(sum(float_ids), 0) as float_ids,
       coalesce(sum(unknown_fields), 0) as unknown_fields
from realtime.commits
union all
select 'files', coalesce(sum(records), 0), coalesce(sum(valid), 0), coalesce(sum(clicks), 0),
       coalesce(sum(duplicates), 0), coalesce(sum(parse), 0), coalesce(sum(schema), 0),
       coalesce(sum(validation), 0), coalesce(sum(future), 0), coalesce(sum(sink), 0),
       coalesce(sum(archive), 0),
       0, coalesce(sum(float_ids), 0), coalesce(sum(unknown_fields), 0)
from realtime.files;

-- name: commits_since
select committed_at, records, valid, duplicates,
       parse + schema + validation + future + sink + archive as invalid, latency_counts
from realtime.commits
where committed_at >= $1
order by committed_at;

-- name: newest_commit
select max(committed_at) as newest from realtime.commits;

-- name: spans
select (select min(window_start) from realtime.metrics) as oldest_minute,
       (select max(window_start) from realtime.metrics) as newest_minute,
       (select min(window_start) from realtime.metrics_hourly) as oldest_hour,
       (select max(window_start) from realtime.metrics_hourly) as newest_hour;

-- name: trend_by_minute
select window_start, sum(impressions) as impressions, sum(clicks) as clicks
from realtime.metrics
where window_start >= $1 and window_start < $2
group by window_start
order by window_start;

-- name: trend_by_hour
select window_start, sum(impressions) as impressions, sum(clicks) as clicks
from realtime.metrics_hourly
where window_start >= $1 and window_start < $2
group by window_start
order by window_start;

-- name: minutes_by_device
select device_type as code, sum(impressions) as impressions, sum(clicks) as clicks
from realtime.metrics
where window_start >= $1 and window_start < $2
group by device_type
order by device_type;

-- name: minutes_by_banner
select banner_pos as code, sum(impressions) as impressions, sum(clicks) as clicks
from realtime.metrics
where window_start >= $1 and window_start < $2
group by banner_pos
order by banner_pos;

-- name: hours_by_device
select device_type as code, sum(impressions) as impressions, sum(clicks) as clicks
from realtime.metrics_hourly
where window_start >= $1 and window_start < $2
group by device_type
order by device_type;

-- name: hours_by_banner
select banner_pos as code, sum(impressions) as impressions, sum(clicks) as clicks
from realtime.metrics_hourly
where window_start >= $1 and window_start < $2
group by banner_pos
order by banner_pos;
