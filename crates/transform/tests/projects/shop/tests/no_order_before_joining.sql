{{ config(store_failures=true, schema=none, tags=['slow']) }}
select orders.order_id
from {{ ref('orders') }} as orders
join {{ ref('customers') }} as customers on customers.customer_id = orders.customer_id
where {{ day_text('orders.ordered_at') }} < {{ "cast(customers.joined_on as text)" }}
