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

device_types as (

    select * from {{ ref('device_types') }}

),

connection_types as (

    select * from {{ ref('connection_types') }}

),

groups as (

    select
        metric_date,
        device_type,
        device_conn_type,
        cast(sum(impressions) as bigint) as impressions,
        cast(sum(clicks) as bigint) as clicks
    from metrics
    group by
        metric_date,
        device_type,
        device_conn_type

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
        groups.device_type,
        groups.device_conn_type,
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
    rates.device_type,
    {{ name_or_code('device_types.device_type_name', 'rates.device_type') }} as device_type_name,
    rates.device_conn_type,
    {{ name_or_code('connection_types.connection_type_name', 'rates.device_conn_type') }}
        as connection_type_name,
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
left join device_types
    on rates.device_type = device_types.device_type
left join connection_types
    on rates.device_conn_type = connection_types.device_conn_type
