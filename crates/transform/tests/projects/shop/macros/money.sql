{# Things that templates do. #}
{% macro rate(currency) %}
    {%- set rates = {'krw': 0.0007, 'eur': 1.0} -%}
    {{ return(rates[currency]) }}
{% endmacro %}

{% macro in_euros(column, currency_column) -%}
    case {{ currency_column }}
    {%- for currency in var('currencies') %}
        when '{{ currency }}' then {{ column }} * cast({{ rate(currency) }} as double precision)
    {%- endfor %}
    end
{%- endmacro %}

{% macro day_text(column) -%}
    {{ adapter.dispatch('day_text')(column) }}
{%- endmacro %}
{% macro default__day_text(column) %}to_char({{ column }}, 'YYYY-MM-DD'){% endmacro %}
{% macro sqlite__day_text(column) %}substr({{ column }}, 1, 10){% endmacro %}

{% test at_least(model, column_name, smallest=0) %}
select {{ column_name }} as value_field from {{ model }} where {{ column_name }} < {{ smallest }}
{% endtest %}
