-- Each day of mart_daily_ctr is the sum of its hours in mart_hourly_ctr.

with hours as (

    select
        metric_date,
        sum(impressions) as impressions,
        sum(clicks) as clicks
    from {{ ref('mart_hourly_ctr') }}
    group by metric_date

),

compared as (

    select
        metric_date,
        impressions as daily_impressions,
        clicks as daily_clicks,
        0 as hourly_impressions,
        0 as hourly_clicks
    from {{ ref('mart_daily_ctr') }}

    union all

    select
        metric_date,
        0 as daily_impressions,
        0 as daily_clicks,
        impressions as hourly_impressions,
        clicks as hourly_clicks
    from hours

)

select
    metric_date,
    sum(daily_impressions) as daily_impressions,
    sum(hourly_impressions) as hourly_impressions,
    sum(daily_clicks) as daily_clicks,
    sum(hourly_clicks) as hourly_clicks
from compared
group by metric_date
having sum(daily_impressions) <> sum(hourly_impressions)
    or sum(daily_clicks) <> sum(hourly_clicks)
