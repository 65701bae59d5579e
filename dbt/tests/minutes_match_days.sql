-- The minutes of a day add up to the day in mart_daily_ctr, for the days all of whose minutes are
-- kept (var minutes_kept_days). What is among the newest hours (var settling_hours) may be behind.

with minutes as (

    select
        {{ date_of('window_start') }} as metric_date,
        max(window_start) as last_minute,
        sum(impressions) as impressions,
        sum(clicks) as clicks
    from {{ ref('stg_metrics') }}
    group by {{ date_of('window_start') }}

),

kept as (

    select
        {{ date_of(add_hours('max(last_minute)', -24 * var('minutes_kept_days'))) }} as cut_date,
        {{ add_hours(hour_of('max(last_minute)'), -1 * var('settling_hours')) }} as settled_until
    from minutes

),

compared as (

    select
        metric_date,
        impressions as minute_impressions,
        clicks as minute_clicks,
        0 as day_impressions,
        0 as day_clicks,
        case when {{ hour_of('last_minute') }} <= (select settled_until from kept) then 1 else 0 end as is_settled
    from minutes

    union all

    select
        metric_date,
        0 as minute_impressions,
        0 as minute_clicks,
        impressions as day_impressions,
        clicks as day_clicks,
        0 as is_settled
    from {{ ref('mart_daily_ctr') }}

)

select
    metric_date,
    sum(minute_impressions) as minute_impressions,
    sum(day_impressions) as day_impressions,
    sum(minute_clicks) as minute_clicks,
    sum(day_clicks) as day_clicks
from compared
where metric_date > (select cut_date from kept)
group by metric_date
having sum(day_impressions) > sum(minute_impressions)
    or sum(day_clicks) > sum(minute_clicks)
    or (
        max(is_settled) = 1
        and (sum(day_impressions) < sum(minute_impressions) or sum(day_clicks) < sum(minute_clicks))
    )
