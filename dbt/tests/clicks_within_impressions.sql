-- No mart counts more clicks than impressions, or less than none.
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
    impressions,
    clicks
from {{ ref(mart) }}
where clicks > impressions
    or clicks < 0
{% if not loop.last %}
union all
{% endif %}
{% endfor %}
