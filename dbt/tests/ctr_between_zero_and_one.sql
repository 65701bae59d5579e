-- Every CTR is a fraction, and lies in its interval.
{% set marts = [
    'mart_daily_ctr',
    'mart_hourly_ctr',
    'mart_device_performance',
    'mart_category_analysis',
    'mart_banner_position'
] %}

{% for mart in marts %}
select
    '{{ mart }}' as mart,
    metric_date,
    ctr_low,
    ctr,
    ctr_high
from {{ ref(mart) }}
where ctr < 0
    or ctr > 1
    or ctr_low < 0
    or ctr_low > ctr
    or ctr_high < ctr
    or ctr_high > 1
{% if not loop.last %}
union all
{% endif %}
{% endfor %}
