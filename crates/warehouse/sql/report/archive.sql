-- What every writer of events asks about the archive.

-- name: hour
select event_hour, version, archived_rows, hot_copies from realtime.hours where event_hour = $1;

-- name: parts_of_hour
select h.path, p.hash
from realtime.archive_part_hours h
left join realtime.archive_parts p on p.path = h.path
where h.event_hour = $1
order by h.path;

-- name: oldest_open_hour
-- The oldest hour of realtime.events of which events are not in the archive. Hours are found one by one
-- in the key, and counted by the figures, which are few.
with recursive hot(event_hour) as (
    select min(event_hour) from realtime.events
    union all
    select (select min(e.event_hour) from realtime.events e where e.event_hour > hot.event_hour)
    from hot
    where hot.event_hour is not null
)
select min(hot.event_hour) as event_hour
from hot
left join realtime.hours h on h.event_hour = hot.event_hour
where hot.event_hour is not null
  and coalesce(h.archived_rows, 0) < (
      select coalesce(sum(m.impressions), 0) from realtime.metrics_hourly m where m.window_start = hot.event_hour
  );

-- name: first_ingested
select min(ingested_at) as first_ingested from realtime.events where event_hour = $1;

-- name: unreadable_hours
select event_hour, reason, since from realtime.unreadable_hours order by event_hour;

-- name: note_unreadable
-- Since when it was known first, and why it is so now.
insert into realtime.unreadable_hours as u (event_hour, reason, since) values ($1, $2, $3)
on conflict (event_hour) do update set reason = excluded.reason
where u.reason <> excluded.reason;

-- name: forget_unreadable
delete from realtime.unreadable_hours where event_hour = $1;

-- name: archived_total
select coalesce(sum(archived_rows), 0) as impressions, coalesce(sum(archived_clicks), 0) as clicks,
       coalesce(sum(hot_copies), 0) as hot_copies
from realtime.hours;

-- name: minutes_floor
select kept_since from realtime.minutes_floor;

-- name: parts_against_hours
-- Both of realtime.hours and the parts' own figures.
select coalesce(h.event_hour, p.event_hour) as place,
       coalesce(h.archived_rows, 0) as left_impressions, coalesce(p.rows, 0) as right_impressions,
       coalesce(h.archived_clicks, 0) as left_clicks, coalesce(p.clicks, 0) as right_clicks
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
select p.path as place, p.rows as left_impressions, coalesce(h.rows, 0) as right_impressions,
       p.clicks as left_clicks, coalesce(h.clicks, 0) as right_clicks
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
select h.event_hour as place,
       h.archived_rows - h.hot_copies + coalesce(e.impressions, 0) as left_impressions,
       coalesce(m.impressions, 0) as right_impressions,
       case when e.impressions is null then h.archived_clicks else coalesce(m.clicks, 0) end as left_clicks,
       coalesce(m.clicks, 0) as right_clicks
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
