-- The two statements of ../report/audit.sql that cut times; ../sqlite/audit.sql says the same.

-- name: minutes_against_hours
-- Hours whose first minutes retention may have removed cannot be compared: those before $1.
select h.window_start as place, coalesce(m.impressions, 0) as left_impressions,
       h.impressions as right_impressions, coalesce(m.clicks, 0) as left_clicks, h.clicks as right_clicks
from (
    select window_start, sum(impressions) as impressions, sum(clicks) as clicks
    from realtime.metrics_hourly
    group by window_start
) h
left join (
    select date_trunc('hour', window_start, 'UTC') as window_start,
           sum(impressions) as impressions, sum(clicks) as clicks
    from realtime.metrics
    group by 1
) m on m.window_start = h.window_start
where h.window_start >= $1
  and (coalesce(m.impressions, 0) <> h.impressions or coalesce(m.clicks, 0) <> h.clicks)
order by 1
limit 20;

-- name: five_minutes_against_minutes
select f.window_start as place, f.impressions as left_impressions,
       coalesce(m.impressions, 0) as right_impressions, f.clicks as left_clicks,
       coalesce(m.clicks, 0) as right_clicks
from (
    select window_start, sum(impressions) as impressions, sum(clicks) as clicks
    from realtime.metrics_5m
    group by window_start
) f
left join (
    select to_timestamp(floor(extract(epoch from window_start) / 300) * 300) as window_start,
           sum(impressions) as impressions, sum(clicks) as clicks
    from realtime.metrics
    group by 1
) m on m.window_start = f.window_start
where f.impressions <> coalesce(m.impressions, 0) or f.clicks <> coalesce(m.clicks, 0)
order by 1
limit 20;
