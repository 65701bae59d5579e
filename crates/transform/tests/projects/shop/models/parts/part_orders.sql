{{ config(materialized='ephemeral') }}
-- with a comment
select *, {{ in_euros('amount', 'currency') }} as euros from {{ ref('orders') }}
