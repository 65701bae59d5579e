{{ config(
    materialized='incremental',
    unique_key='window_start'
) }}

with hours as (

    select
        window_start,
        metric_date,
        cast(sum(impressions) as bigint) as impressions,
        cast(sum(clicks) as bigint) as clicks
    from {{ ref('stg_metrics_hourly') }}
    group by
        window_start,
        metric_date

),

changed_hours as (

    select hours.*
    from hours
    {% if is_incremental() %}
    -- Late events may have been added to any hour, not only to the newest.
    left join {{ this }} as kept
        on hours.window_start = kept.window_start
    where kept.window_start is null
        or hours.impressions <> kept.impressions
        or hours.clicks <> kept.clicks
    {% endif %}

)

select
    window_start,
    metric_date,
    {{ hour_of_day('window_start') }} as hour_of_day,
    {{ day_of_week('window_start') }} as day_of_week,
    impressions,
    clicks,
    {{ ratio('clicks', 'impressions') }} as ctr,
    {{ ctr_low('clicks', 'impressions') }} as ctr_low,
    {{ ctr_high('clicks', 'impressions') }} as ctr_high
from changed_hours
