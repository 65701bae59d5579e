select count(*) as orders, min(amount) as smallest from {{ ref('orders') }}
