-- No hour is missing between the first and the last: each row is a gap, from its first missing
-- hour up to the next hour that has data.

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
