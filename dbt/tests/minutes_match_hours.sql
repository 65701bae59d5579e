-- Minutes, five minutes and hours have the same totals, wherever minutes are kept (var
-- minutes_kept_days). Each row is an hour that differs, with the minute that is to blame where
-- the hour's events are still there to tell.

with kept as (

    select {{ add_hours('max(window_start)', -24 * var('minutes_kept_days')) }} as kept_since
    from {{ ref('stg_metrics') }}

),

levels as (

    select
        {{ hour_of('window_start') }} as hour_start,
        impressions as minute_impressions,
        clicks as minute_clicks,
        0 as five_minute_impressions,
        0 as five_minute_clicks,
        0 as hour_impressions,
        0 as hour_clicks
    from {{ ref('stg_metrics') }}

    union all

    select
        {{ hour_of('window_start') }} as hour_start,
        0 as minute_impressions,
        0 as minute_clicks,
        impressions as five_minute_impressions,
        clicks as five_minute_clicks,
        0 as hour_impressions,
        0 as hour_clicks
    from {{ source('realtime', 'metrics_5m') }}

    union all

    select
        window_start as hour_start,
        0 as minute_impressions,
        0 as minute_clicks,
        0 as five_minute_impressions,
        0 as five_minute_clicks,
        impressions as hour_impressions,
        clicks as hour_clicks
    from {{ source('realtime', 'metrics_hourly') }}

),

-- An hour that began before the oldest minute kept may have lost some of its minutes.
differing_hours as (

    select
        hour_start,
        sum(minute_impressions) as minute_impressions,
        sum(five_minute_impressions) as five_minute_impressions,
        sum(hour_impressions) as hour_impressions,
        sum(minute_clicks) as minute_clicks,
        sum(five_minute_clicks) as five_minute_clicks,
        sum(hour_clicks) as hour_clicks
    from levels
    where hour_start >= (select kept_since from kept)
    group by hour_start
    having sum(minute_impressions) <> sum(hour_impressions)
        or sum(minute_clicks) <> sum(hour_clicks)
        or sum(minute_impressions) <> sum(five_minute_impressions)
        or sum(minute_clicks) <> sum(five_minute_clicks)

),

-- Only of hours that differ, so as a rule of none: events are many.
events_and_minutes as (

    select
        event_hour as hour_start,
        {{ minute_of('event_time') }} as minute_start,
        1 as event_impressions,
        click as event_clicks,
        0 as minute_impressions,
        0 as minute_clicks
    from {{ ref('stg_events') }}
    where event_hour in (select hour_start from differing_hours)

    union all

    select
        {{ hour_of('window_start') }} as hour_start,
        window_start as minute_start,
        0 as event_impressions,
        0 as event_clicks,
        impressions as minute_impressions,
        clicks as minute_clicks
    from {{ ref('stg_metrics') }}
    where {{ hour_of('window_start') }} in (
        select differing_hours.hour_start
        from differing_hours
        inner join {{ ref('stg_events') }} as events
            on differing_hours.hour_start = events.event_hour
    )

),

differing_minutes as (

    select
        hour_start,
        minute_start,
        sum(minute_impressions) - sum(event_impressions) as minute_surplus_impressions,
        sum(minute_clicks) - sum(event_clicks) as minute_surplus_clicks
    from events_and_minutes
    group by
        hour_start,
        minute_start
    having sum(minute_impressions) <> sum(event_impressions)
        or sum(minute_clicks) <> sum(event_clicks)

)

select
    differing_hours.hour_start,
    differing_minutes.minute_start,
    differing_minutes.minute_surplus_impressions,
    differing_minutes.minute_surplus_clicks,
    differing_hours.minute_impressions,
    differing_hours.five_minute_impressions,
    differing_hours.hour_impressions,
    differing_hours.minute_clicks,
    differing_hours.five_minute_clicks,
    differing_hours.hour_clicks
from differing_hours
left join differing_minutes
    on differing_hours.hour_start = differing_minutes.hour_start
