{{ config(materialized='table') }}

select
    window_start,
{%- for position in positions() %}
    sum(case when banner_pos = {{ position }} then impressions else 0 end) as position_{{ position }}{{ "," if not loop.last }}
{%- endfor %}
from realtime.metrics_hourly
group by window_start
