{{ config(materialized='incremental', alias='customer_days_kept') }}
select
    customer_id,
    {{ day_text('ordered_at') }} as order_day,
    count(*) as orders,
    sum(euros) as euros
from {{ ref('part_large_orders') }}
{% if is_incremental() %}
where {{ day_text('ordered_at') }} > (select coalesce(max(order_day), '') from {{ this }})
{% endif %}
group by customer_id, {{ day_text('ordered_at') }}
