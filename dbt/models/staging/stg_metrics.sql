with metrics as (

    select * from {{ source('realtime', 'metrics') }}

)

select
    window_start,
    cast(banner_pos as integer) as banner_pos,
    cast(device_type as integer) as device_type,
    cast(device_conn_type as integer) as device_conn_type,
    site_category,
    app_category,
    impressions,
    clicks
from metrics
