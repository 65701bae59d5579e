-- The key is the day: a day that changed is replaced as a whole.
{{ config(
    materialized='incremental',
    unique_key='metric_date'
) }}

with metrics as (

    select * from {{ ref('stg_metrics_hourly') }}
    {% if is_incremental() %}
    where metric_date in (
        {{ changed_days(ref('stg_metrics_hourly'), this, "category_kind = 'site'") }}
    )
    {% endif %}

),

-- Every impression has a site category and an app category: it counts once in either kind.
groups as (

    select
        metric_date,
        cast('site' as text) as category_kind,
        site_category as category,
        cast(sum(impressions) as bigint) as impressions,
        cast(sum(clicks) as bigint) as clicks
    from metrics
    group by
        metric_date,
        site_category

    union all

    select
        metric_date,
        cast('app' as text) as category_kind,
        app_category as category,
        cast(sum(impressions) as bigint) as impressions,
        cast(sum(clicks) as bigint) as clicks
    from metrics
    group by
        metric_date,
        app_category

),

days as (

    select
        metric_date,
        cast(sum(impressions) as bigint) as impressions,
        cast(sum(clicks) as bigint) as clicks
    from metrics
    group by metric_date

),

rates as (

    select
        groups.metric_date,
        groups.category_kind,
        groups.category,
        groups.impressions,
        groups.clicks,
        {{ ratio('groups.clicks', 'groups.impressions') }} as ctr,
        {{ ctr_low('groups.clicks', 'groups.impressions') }} as ctr_low,
        {{ ctr_high('groups.clicks', 'groups.impressions') }} as ctr_high,
        {{ ratio('groups.impressions', 'days.impressions') }} as impression_share,
        {{ ratio('groups.clicks', 'days.clicks') }} as click_share,
        {{ ratio('days.clicks', 'days.impressions') }} as average_ctr
    from groups
    inner join days
        on groups.metric_date = days.metric_date

)

select
    metric_date,
    category_kind,
    category,
    impressions,
    clicks,
    ctr,
    ctr_low,
    ctr_high,
    impression_share,
    click_share,
    average_ctr,
    {{ ratio('ctr - average_ctr', 'average_ctr') }} as lift,
    {{ against_average('ctr_low', 'ctr_high', 'average_ctr') }} as against_average,
    cast(rank() over (
        partition by metric_date, category_kind
        order by impressions desc
    ) as integer) as impressions_rank,
    -- By the lower end of the interval: three clicks of four do not make the best category.
    cast(rank() over (
        partition by metric_date, category_kind
        order by ctr_low desc nulls last
    ) as integer) as ctr_rank
from rates
