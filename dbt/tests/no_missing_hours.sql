-- No hour is missing within a period of data: each row is a gap, from its first missing hour up to
-- the next hour that has data. A silence longer than `separate_periods_days` is not a gap but the
-- space between two data sets, such as one of 2014 and today's traffic.

with hours as (

    select
        window_start,
        lead(window_start) over (order by window_start) as next_window_start
    from {{ ref('mart_hourly_ctr') }}

)

select
    {{ add_hours('window_start', 1) }} as gap_start,
    next_window_start as gap_end
from hours
where next_window_start > {{ add_hours('window_start', 1) }}
    and next_window_start <= {{ add_hours('window_start', var('separate_periods_days') * 24) }}
