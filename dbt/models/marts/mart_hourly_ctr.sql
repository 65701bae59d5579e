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

hours as (

    select
        window_start,
        metric_date,
        cast(sum(impressions) as bigint) as impressions,
        cast(sum(clicks) as bigint) as clicks
    from metrics
    group by
        window_start,
        metric_date

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
from hours
