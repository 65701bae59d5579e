-- depends on two
with recursive numbers (n) as (select 0 union all select n + 1 from numbers where n < 1)
select kept.device_type, n, max(label) as label, sum(impressions) as impressions, cast(sum(clicks) as double precision) / sum(impressions) as ctr
from {{ ref('hours_kept') }} as kept
cross join numbers
left join {{ ref('names') }} as names on names.device_type = kept.device_type
group by kept.device_type, n
