{{ config(materialized='incremental', unique_key='window_start', incremental_strategy='delete+insert', on_schema_change='ignore') }}
select * from {{ ref('hours') }}
{% if is_incremental() -%}
where window_start >= (select max(window_start) from {{ this }})
{%- endif %}
