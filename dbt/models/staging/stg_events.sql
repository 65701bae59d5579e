with events as (

    select * from {{ source('realtime', 'events') }}

)

select
    event_hour,
    event_id,
    event_time,
    cast(click as integer) as click,
    cast(banner_pos as integer) as banner_pos,
    cast(device_type as integer) as device_type,
    cast(device_conn_type as integer) as device_conn_type,
    site_id,
    site_domain,
    site_category,
    app_id,
    app_domain,
    app_category,
    device_id,
    device_ip,
    device_model,
    c1,
    c14,
    c15,
    c16,
    c17,
    c18,
    c19,
    c20,
    c21,
    ingested_at
from events
