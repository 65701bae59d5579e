-- What the page "Files" shows; both databases understand it.

-- name: files
-- Readings whose state and text fit, the newest first. An empty $1 or $2 fits every one.
select path, content, reading, size, state, message, records, valid, clicks, invalid, duplicates, float_ids,
       first_event, last_event, started_at, updated_at
from ops.ingest_files
where ($1 = '' or state = $1) and ($2 = '' or lower(path) like $2 escape '\' or lower(message) like $2 escape '\')
order by updated_at desc, path, content, reading desc
limit $3 offset $4;

-- name: totals
-- By state, of those whose text fits.
select state, count(*) as files, sum(records) as records, sum(valid) as valid, sum(clicks) as clicks,
       sum(invalid) as invalid, sum(duplicates) as duplicates, sum(float_ids) as float_ids, sum(size) as bytes
from ops.ingest_files
where $1 = '' or lower(path) like $1 escape '\' or lower(message) like $1 escape '\'
group by state;

-- name: file
select parse, schema, validation, future, sink, archive, unknown_fields
from realtime.files
where path = $1 and content = $2 and reading = $3;

-- name: errors_of_file
-- What became of its errors in the dead-letter queue, of the first $2.
select error_type, status, count(*) as errors
from (select error_type, status from errors.dlq_errors where topic = $1 limit $2) as found
group by error_type, status
order by error_type, status;

-- name: archive_totals
select source, count(*) as parts, coalesce(sum(rows), 0) as events, coalesce(sum(clicks), 0) as clicks,
       coalesce(sum(bytes), 0) as bytes
from realtime.archive_parts
group by source;

-- name: archive_days
-- The newest $1 days of the archive, by where the events came from.
select p.event_date, p.source, count(*) as parts, sum(p.rows) as events, sum(p.clicks) as clicks,
       sum(p.bytes) as bytes
from realtime.archive_parts as p
where p.event_date in (
    select d.event_date
    from (select distinct event_date from realtime.archive_parts order by event_date desc limit $1) as d
)
group by p.event_date, p.source
order by p.event_date desc, p.source;

-- name: archive_day_count
select count(distinct event_date) as days from realtime.archive_parts;

-- name: hot_hours
-- Hours of realtime.events, found one by one in its key, and whether the archive has any of each.
with recursive hot (event_hour, number) as (
    select min(event_hour), 1 from realtime.events
    union all
    select (select min(e.event_hour) from realtime.events as e where e.event_hour > hot.event_hour), number + 1
    from hot
    where hot.event_hour is not null and number < $1
)
select count(*) as hours, min(hot.event_hour) as oldest, max(hot.event_hour) as newest,
       coalesce(sum(case when h.event_hour is null then 1 else 0 end), 0) as not_archived,
       min(case when h.event_hour is null then hot.event_hour end) as oldest_not_archived
from hot
left join realtime.hours as h on h.event_hour = hot.event_hour
where hot.event_hour is not null;
