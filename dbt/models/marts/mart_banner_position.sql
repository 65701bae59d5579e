-- The key is the day: a day that changed is replaced as a whole.
{{ config(
    materialized='incremental',
    unique_key='metric_date'
) }}

with metrics as (

    select * from {{ ref('stg_metrics_hourly') }}
    {% if is_incremental() %}
    where metric_date in (
        {{ changed_days(ref('stg_metrics_hourly'), this) }}
    )
    {% endif %}

),

banner_positions as (

    select * from {{ ref('banner_positions') }}

),

groups as (

    select
        metric_date,
        banner_pos,
        cast(sum(impressions) as bigint) as impressions,
        cast(sum(clicks) as bigint) as clicks
    from metrics
    group by
        metric_date,
        banner_pos

),

days as (

    select
        metric_date,
        cast(sum(impressions) as bigint) as impressions,
        cast(sum(clicks) as bigint) as clicks
    from groups
    group by metric_date

),

rates as (

    select
        groups.metric_date,
        groups.banner_pos,
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
    rates.metric_date,
    rates.banner_pos,
    {{ name_or_code('banner_positions.banner_position_name', 'rates.banner_pos') }}
        as banner_position_name,
    rates.impressions,
    rates.clicks,
    rates.ctr,
    rates.ctr_low,
    rates.ctr_high,
    rates.impression_share,
    rates.click_share,
    rates.average_ctr,
    {{ ratio('rates.ctr - rates.average_ctr', 'rates.average_ctr') }} as lift,
    {{ against_average('rates.ctr_low', 'rates.ctr_high', 'rates.average_ctr') }} as against_average
from rates
left join banner_positions
    on rates.banner_pos = banner_positions.banner_pos
