-- A table and not a view: events keep arriving while dbt runs, and all marts must be made of
-- the same moment to agree with each other.
{{ config(materialized='table') }}

with metrics_hourly as (

    select * from {{ source('realtime', 'metrics_hourly') }}

)

select
    window_start,
    {{ date_of('window_start') }} as metric_date,
    cast(banner_pos as integer) as banner_pos,
    cast(device_type as integer) as device_type,
    cast(device_conn_type as integer) as device_conn_type,
    site_category,
    app_category,
    impressions,
    clicks
from metrics_hourly
