{{ config(materialized='ephemeral') }}
/* all of it */
select window_start, device_type, sum(impressions) as impressions, sum(clicks) as clicks
from {{ source('live', 'hours') }}
group by window_start, device_type
