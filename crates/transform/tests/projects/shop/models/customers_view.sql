{# A view on a seed: a table swapped below it must not take it away. #}
select customer_id, name, '{{ true }} {{ [1, 2.5, none] }}' as printed from {{ ref('customers') }}
{{ "where customer_id > 0" if true }}
