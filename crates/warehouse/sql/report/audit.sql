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
select coalesce(sum(records), 0) as records, coalesce(sum(valid), 0) as valid,
       coalesce(sum(clicks), 0) as clicks, coalesce(sum(duplicates), 0) as duplicates,
       coalesce(sum(parse), 0) as parse, coalesce(sum(schema), 0) as schema,
       coalesce(sum(validation), 0) as validation, coalesce(sum(future), 0) as future,
       coalesce(sum(sink), 0) as sink, coalesce(sum(archive), 0) as archive,
       coalesce(sum(late), 0) as late, coalesce(sum(float_ids), 0) as float_ids,
       coalesce(sum(unknown_fields), 0) as unknown_fields
from realtime.commits
where topic = $1 and partition = $2 and next_offset > $3 and first_offset < $4;

-- name: events_total
select count(*) as impressions, coalesce(sum(click), 0) as clicks from realtime.events;

-- name: hourly_total
select coalesce(sum(impressions), 0) as impressions, coalesce(sum(clicks), 0) as clicks
from realtime.metrics_hourly;

-- name: events_against_hours
-- Hours of which nothing is archived only: of the others realtime.events has a part. Both sides are
-- added up and not joined: SQLite joins sums of six columns row by row.
select window_start as place, sum(events) as left_impressions, sum(impressions) as right_impressions,
       sum(event_clicks) as left_clicks, sum(clicks) as right_clicks
from (
    select event_hour as window_start, banner_pos, device_type, device_conn_type, site_category, app_category,
           count(*) as events, sum(click) as event_clicks, 0 as impressions, 0 as clicks
    from realtime.events
    where event_hour not in (select event_hour from realtime.hours)
    group by 1, 2, 3, 4, 5, 6
    union all
    select window_start, banner_pos, device_type, device_conn_type, site_category, app_category,
           0, 0, impressions, clicks
    from realtime.metrics_hourly
    where window_start not in (select event_hour from realtime.hours)
) both_sides
group by window_start, banner_pos, device_type, device_conn_type, site_category, app_category
having sum(events) <> sum(impressions) or sum(event_clicks) <> sum(clicks)
order by 1
limit 20;
