-- What everybody who writes events asks about the archive.

-- name: hour
select version, archived_rows, hot_copies from realtime.hours where event_hour = $1;

-- name: parts_of_hour
select path from realtime.archive_part_hours where event_hour = $1 order by path;

-- name: archived_total
select coalesce(sum(archived_rows), 0), coalesce(sum(archived_clicks), 0), coalesce(sum(hot_copies), 0)
from realtime.hours;

-- name: files_total
select coalesce(sum(valid), 0), coalesce(sum(clicks), 0) from realtime.files;

-- name: minutes_floor
select kept_since from realtime.minutes_floor;

-- name: parts_against_hours
-- Both of realtime.hours and the parts' own figures.
select coalesce(h.event_hour, p.event_hour), coalesce(h.archived_rows, 0), coalesce(p.rows, 0),
       coalesce(h.archived_clicks, 0), coalesce(p.clicks, 0)
from realtime.hours h
full join (
    select event_hour, sum(rows) as rows, sum(clicks) as clicks
    from realtime.archive_part_hours
    group by event_hour
) p on p.event_hour = h.event_hour
where coalesce(h.archived_rows, 0) <> coalesce(p.rows, 0)
   or coalesce(h.archived_clicks, 0) <> coalesce(p.clicks, 0)
order by 1
limit 20;

-- name: parts_against_their_hours
select p.path, p.rows, coalesce(h.rows, 0), p.clicks, coalesce(h.clicks, 0)
from realtime.archive_parts p
left join (
    select path, sum(rows) as rows, sum(clicks) as clicks
    from realtime.archive_part_hours
    group by path
) h on h.path = p.path
where p.rows <> coalesce(h.rows, 0) or p.clicks <> coalesce(h.clicks, 0)
order by 1
limit 20;

-- name: archived_hours_against_figures
-- Archive and hot events together, less what is in both. Clicks of the hot copies are not kept, so
-- clicks are compared where there is nothing hot.
select h.event_hour, h.archived_rows - h.hot_copies + coalesce(e.impressions, 0), coalesce(m.impressions, 0),
       case when e.impressions is null then h.archived_clicks else coalesce(m.clicks, 0) end,
       coalesce(m.clicks, 0)
from realtime.hours h
left join (
    select event_hour, count(*) as impressions from realtime.events group by event_hour
) e on e.event_hour = h.event_hour
left join (
    select window_start, sum(impressions) as impressions, sum(clicks) as clicks
    from realtime.metrics_hourly
    group by window_start
) m on m.window_start = h.event_hour
where h.archived_rows - h.hot_copies + coalesce(e.impressions, 0) <> coalesce(m.impressions, 0)
   or (e.impressions is null and h.archived_clicks <> coalesce(m.clicks, 0))
   or coalesce(e.impressions, 0) < h.hot_copies
order by 1
limit 20;
