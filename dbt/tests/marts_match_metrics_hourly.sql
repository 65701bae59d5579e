-- Day by day, every mart has the impressions and clicks that realtime.metrics_hourly has. A day
-- whose last hours are among the newest (var settling_hours) may be behind, as events arrive
-- while dbt runs, but never ahead.
{% set marts = [
    'mart_daily_ctr',
    'mart_hourly_ctr',
    'mart_device_performance',
    'mart_banner_position'
] %}
{% set category_kinds = ['site', 'app'] %}

with source_hours as (

    select
        window_start,
        {{ date_of('window_start') }} as metric_date,
        sum(impressions) as impressions,
        sum(clicks) as clicks
    from {{ source('realtime', 'metrics_hourly') }}
    group by window_start

),

newest as (

    select {{ add_hours('max(window_start)', -1 * var('settling_hours')) }} as settled_until
    from source_hours

),

source_days as (

    select
        source_hours.metric_date,
        sum(source_hours.impressions) as impressions,
        sum(source_hours.clicks) as clicks,
        case when max(source_hours.window_start) <= max(newest.settled_until) then 1 else 0 end as is_settled
    from source_hours
    cross join newest
    group by source_hours.metric_date

),

compared as (

    {% for mart in marts %}
    select
        '{{ mart }}' as mart,
        metric_date,
        sum(impressions) as mart_impressions,
        sum(clicks) as mart_clicks,
        0 as source_impressions,
        0 as source_clicks,
        0 as is_settled
    from {{ ref(mart) }}
    group by metric_date

    union all

    select
        '{{ mart }}' as mart,
        metric_date,
        0 as mart_impressions,
        0 as mart_clicks,
        impressions as source_impressions,
        clicks as source_clicks,
        is_settled
    from source_days

    union all

    {% endfor %}
    {% for kind in category_kinds %}
    select
        'mart_category_analysis, {{ kind }}' as mart,
        metric_date,
        sum(impressions) as mart_impressions,
        sum(clicks) as mart_clicks,
        0 as source_impressions,
        0 as source_clicks,
        0 as is_settled
    from {{ ref('mart_category_analysis') }}
    where category_kind = '{{ kind }}'
    group by metric_date

    union all

    select
        'mart_category_analysis, {{ kind }}' as mart,
        metric_date,
        0 as mart_impressions,
        0 as mart_clicks,
        impressions as source_impressions,
        clicks as source_clicks,
        is_settled
    from source_days
    {% if not loop.last %}
    union all
    {% endif %}
    {% endfor %}

)

select
    mart,
    metric_date,
    sum(mart_impressions) as mart_impressions,
    sum(source_impressions) as source_impressions,
    sum(mart_clicks) as mart_clicks,
    sum(source_clicks) as source_clicks
from compared
group by
    mart,
    metric_date
having sum(mart_impressions) > sum(source_impressions)
    or sum(mart_clicks) > sum(source_clicks)
    or (
        max(is_settled) = 1
        and (sum(mart_impressions) < sum(source_impressions) or sum(mart_clicks) < sum(source_clicks))
    )
