{%- set kinds = namespace(found=[]) -%}
{%- for currency in var('currencies') -%}
    {%- set kinds.found = kinds.found + ["sum(case when currency = '" ~ currency ~ "' then 1 else 0 end) as " ~ currency ~ "_orders"] -%}
{%- endfor -%}
select
    {{ kinds.found | join(',\n    ') }},
    {{ 'count(*)' | upper }} as orders
from {{ ref('orders') }}
left join {{ ref('customers_view') }} using (customer_id)
