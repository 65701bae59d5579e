-- Every table against the others. Each statement gives the places that do not agree; none is good.
-- Two more of them cut times, which each database does its own way: ../sqlite/audit.sql and
-- ../postgres/audit.sql.

-- name: commits
select topic, partition, first_offset, next_offset, records, valid, duplicates,
       parse + schema + validation + future + sink + archive as invalid
from realtime.commits
order by topic, partition, first_offset;

-- name: offset_places
select topic, partition from realtime.offsets order by topic, partition;

-- name: account_between
select sum(records), sum(valid), sum(clicks), sum(duplicates), sum(parse), sum(schema), sum(validation),
       sum(future), sum(sink), sum(archive), sum(late), sum(float_ids), sum(unknown_fields)
from realtime.commits
where topic = $1 and partition = $2 and next_offset > $3 and first_offset < $4;

-- name: events_total
select count(*), coalesce(sum(click), 0) from realtime.events;

-- name: hourly_total
select coalesce(sum(impressions), 0), coalesce(sum(clicks), 0) from realtime.metrics_hourly;

-- name: events_against_hours
-- Hours of which nothing is archived only: of the others realtime.events has a part.
select coalesce(e.window_start, m.window_start) as window_start, coalesce(e.impressions, 0), coalesce(m.impressions, 0),
       coalesce(e.clicks, 0), coalesce(m.clicks, 0)
from (
    select event_hour as window_start, banner_pos, device_type, device_conn_type, site_category, app_category,
           count(*) as impressions, sum(click) as clicks
    from realtime.events
    where event_hour not in (select event_hour from realtime.hours)
    group by 1, 2, 3, 4, 5, 6
) e
full join (
    select * from realtime.metrics_hourly
    where window_start not in (select event_hour from realtime.hours)
) m
    on m.window_start = e.window_start and m.banner_pos = e.banner_pos and m.device_type = e.device_type
    and m.device_conn_type = e.device_conn_type and m.site_category = e.site_category
    and m.app_category = e.app_category
where coalesce(e.impressions, 0) <> coalesce(m.impressions, 0) or coalesce(e.clicks, 0) <> coalesce(m.clicks, 0)
order by 1
limit 20;
