-- The archive's list, and the hours it has something of.

-- name: paths
select path from realtime.archive_parts order by path;

-- name: add_part
insert into realtime.archive_parts (
    path, event_date, first_event, last_event, rows, clicks, bytes, source, created_at, hash, row_sum
) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11);

-- name: add_part_hour
insert into realtime.archive_part_hours (event_hour, path, rows, clicks, row_sum) values ($1, $2, $3, $4, $5);

-- name: add_to_hour
-- $5 is the sum of a new row, $6 what is added to the sum of one that is there.
insert into realtime.hours as h (event_hour, version, archived_rows, archived_clicks, hot_copies, row_sum)
values ($1, 1, $2, $3, $4, $5)
on conflict (event_hour) do update
set version = h.version + 1, archived_rows = h.archived_rows + excluded.archived_rows,
    archived_clicks = h.archived_clicks + excluded.archived_clicks,
    hot_copies = h.hot_copies + excluded.hot_copies, row_sum = h.row_sum + $6;

-- name: hour_now
-- Version of the hour in the archive (0: nothing), and how many of its hot events are not archived.
select coalesce((select version from realtime.hours where event_hour = $1), 0) as version,
       (select count(*) from realtime.events where event_hour = $1)
       - coalesce((select hot_copies from realtime.hours where event_hour = $1), 0) as hot_only;

-- name: hot_ids
select event_id from realtime.events where event_hour = $1;

-- name: raise_minutes_floor
insert into realtime.minutes_floor as m (id, kept_since, row_sum) values (1, $1, $2)
on conflict (id) do update set kept_since = excluded.kept_since, row_sum = excluded.row_sum
where excluded.kept_since > m.kept_since;

-- name: newest_hour
select max(window_start) as newest from realtime.metrics_hourly;

-- name: cold_hours
-- Hours of the hot window of which the archive has events that realtime.events has not, by part.
select p.path, p.event_hour, a.hash
from realtime.archive_part_hours p
join realtime.archive_parts a on a.path = p.path
join realtime.hours h on h.event_hour = p.event_hour
where h.event_hour >= $1 and h.archived_rows > h.hot_copies
order by p.path, p.event_hour;

-- name: cold_events
-- How many events those are.
select coalesce(sum(archived_rows - hot_copies), 0) as events
from realtime.hours
where event_hour >= $1 and archived_rows > hot_copies;

-- name: add_copies
update realtime.hours set hot_copies = hot_copies + $2, row_sum = row_sum + $3 where event_hour = $1;

-- name: closed_hours
-- Hours that began before $1 and have hot events that are not archived.
select e.event_hour, e.events - coalesce(h.hot_copies, 0) as events
from (
    select event_hour, count(*) as events
    from realtime.events
    where event_hour < $1
    group by event_hour
) e
left join realtime.hours h on h.event_hour = e.event_hour
where e.events > coalesce(h.hot_copies, 0)
order by e.event_hour;

-- name: events_of_hour
select event_hour, event_id, event_time, click, banner_pos, device_type, device_conn_type,
       site_id, site_domain, site_category, app_id, app_domain, app_category,
       device_id, device_ip, device_model, c1, c14, c15, c16, c17, c18, c19, c20, c21
from realtime.events
where event_hour = $1
order by event_id;

-- name: small_parts
-- Parts of days that have many small ones. One without a hash is not what the list says.
select p.event_date, p.path, p.rows, p.hash
from realtime.archive_parts p
where p.rows < $1 and p.hash is not null
  and p.event_date in (
      select event_date from realtime.archive_parts where rows < $1 group by event_date having count(*) >= $2
  )
order by p.event_date, p.first_event, p.path;

-- name: remove_part
delete from realtime.archive_parts where path = $1;

-- name: remove_part_hours
delete from realtime.archive_part_hours where path = $1;

-- name: listed_parts
select path, hash, rows, clicks, bytes from realtime.archive_parts order by path;

-- name: newest_part
select path from realtime.archive_parts order by created_at desc, path desc limit 1;

-- name: unhashed_parts
select path, rows, clicks, bytes from realtime.archive_parts where hash is null order by path;

-- name: hours_of_part
select event_hour, rows, clicks from realtime.archive_part_hours where path = $1 order by event_hour;

-- name: set_hash
update realtime.archive_parts set hash = $2 where path = $1 and hash is null;

-- name: begin_run
insert into realtime.etl_runs (run_id, started_at) values ($1, $2);

-- name: finish_run
update realtime.etl_runs set finished_at = $2 where run_id = $1;

-- name: runs
select run_id, finished_at from realtime.etl_runs;

-- name: is_listed
select 1 from realtime.archive_parts where path = $1;

-- name: figures_of_archived_hours
-- Of hours all of whose events are in the archive. The hours are found once: asked for row by row, their
-- events would be counted anew for each of the thousands of rows that an hour has.
with whole as materialized (
    select h.event_hour
    from realtime.hours h
    left join (
        select event_hour, count(*) as events from realtime.events group by event_hour
    ) e on e.event_hour = h.event_hour
    where h.hot_copies = coalesce(e.events, 0)
)
select m.window_start, m.banner_pos, m.device_type, m.device_conn_type, m.site_category, m.app_category,
       m.impressions, m.clicks
from realtime.metrics_hourly m
join whole w on w.event_hour = m.window_start;

-- name: try_role
-- One batch process a database; held for as long as the connection. "adbatch" in ASCII.
select pg_try_advisory_lock(27413446445523816) as is_ours;

-- name: leave_role
select pg_advisory_unlock(27413446445523816) as is_ours;
