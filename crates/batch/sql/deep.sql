-- What `adpipe verify --deep` reads.

-- name: events
select event_hour, event_id, event_time, click, banner_pos, device_type, device_conn_type,
       site_id, site_domain, site_category, app_id, app_domain, app_category,
       device_id, device_ip, device_model, c1, c14, c15, c16, c17, c18, c19, c20, c21
from realtime.events

-- name: of_hour
where event_hour = $1

-- name: events_total
select count(*) as events from realtime.events;

-- name: hours
select event_hour, archived_rows, hot_copies from realtime.hours order by event_hour;

-- name: parts
select path, rows from realtime.archive_parts order by path;

-- name: hours_of_part
select event_hour from realtime.archive_part_hours where path = $1 order by event_hour;

-- name: parts_of_hour
select path from realtime.archive_part_hours where event_hour = $1 order by path;

-- name: hourly
select window_start, banner_pos, device_type, device_conn_type, site_category, app_category, impressions, clicks
from realtime.metrics_hourly;

-- name: minutes
select window_start, banner_pos, device_type, device_conn_type, site_category, app_category, impressions, clicks
from realtime.metrics;
