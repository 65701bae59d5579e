{{ config(materialized = 'ephemeral') }}
with large as (select * from {{ ref('part_orders') }} where euros >= {{ var('smallest_order') }})
select * from large
