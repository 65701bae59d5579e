{#
    Times are timestamptz on PostgreSQL and UTC text, YYYY-MM-DD HH:MM:SS, on SQLite; dates are
    date and text YYYY-MM-DD. The casts to text are for SQLite's unit tests and catalog: a column
    made by an expression has no type there otherwise.
#}


{# The UTC date of a time. #}
{% macro date_of(time) -%}
    {{ adapter.dispatch('date_of', 'adpipe')(time) }}
{%- endmacro %}

{% macro postgres__date_of(time) -%}
    cast({{ time }} at time zone 'UTC' as date)
{%- endmacro %}

{% macro sqlite__date_of(time) -%}
    cast(substr({{ time }}, 1, 10) as text)
{%- endmacro %}


{# The hour of a time, as a time. #}
{% macro hour_of(time) -%}
    {{ adapter.dispatch('hour_of', 'adpipe')(time) }}
{%- endmacro %}

{% macro postgres__hour_of(time) -%}
    date_trunc('hour', {{ time }}, 'UTC')
{%- endmacro %}

{% macro sqlite__hour_of(time) -%}
    cast(substr({{ time }}, 1, 13) || ':00:00' as text)
{%- endmacro %}


{# The minute of a time, as a time. #}
{% macro minute_of(time) -%}
    {{ adapter.dispatch('minute_of', 'adpipe')(time) }}
{%- endmacro %}

{% macro postgres__minute_of(time) -%}
    date_trunc('minute', {{ time }}, 'UTC')
{%- endmacro %}

{% macro sqlite__minute_of(time) -%}
    cast(substr({{ time }}, 1, 16) || ':00' as text)
{%- endmacro %}


{# Hour of the day, UTC, 0 to 23. #}
{% macro hour_of_day(time) -%}
    {{ adapter.dispatch('hour_of_day', 'adpipe')(time) }}
{%- endmacro %}

{% macro postgres__hour_of_day(time) -%}
    cast(extract(hour from {{ time }} at time zone 'UTC') as integer)
{%- endmacro %}

{% macro sqlite__hour_of_day(time) -%}
    cast(substr({{ time }}, 12, 2) as integer)
{%- endmacro %}


{# Day of the week by ISO 8601, UTC: 1 is Monday, 7 is Sunday. #}
{% macro day_of_week(time) -%}
    {{ adapter.dispatch('day_of_week', 'adpipe')(time) }}
{%- endmacro %}

{% macro postgres__day_of_week(time) -%}
    cast(extract(isodow from {{ time }} at time zone 'UTC') as integer)
{%- endmacro %}

{% macro sqlite__day_of_week(time) -%}
    cast((strftime('%w', {{ time }}) + 6) % 7 + 1 as integer)
{%- endmacro %}


{# A date moved by a number of days, which may be negative. #}
{% macro add_days(date, days) -%}
    {{ adapter.dispatch('add_days', 'adpipe')(date, days) }}
{%- endmacro %}

{% macro postgres__add_days(date, days) -%}
    ({{ date }} + ({{ days }}))
{%- endmacro %}

{% macro sqlite__add_days(date, days) -%}
    date({{ date }}, '{{ days }} days')
{%- endmacro %}


{# A time moved by a number of hours, which may be negative. #}
{% macro add_hours(time, hours) -%}
    {{ adapter.dispatch('add_hours', 'adpipe')(time, hours) }}
{%- endmacro %}

{% macro postgres__add_hours(time, hours) -%}
    ({{ time }} + {{ hours }} * interval '1 hour')
{%- endmacro %}

{% macro sqlite__add_hours(time, hours) -%}
    datetime({{ time }}, '{{ hours }} hours')
{%- endmacro %}


{# A constant time, written YYYY-MM-DD HH:MM:SS in UTC. #}
{% macro time_literal(text) -%}
    {{ adapter.dispatch('time_literal', 'adpipe')(text) }}
{%- endmacro %}

{% macro postgres__time_literal(text) -%}
    cast('{{ text }}+00' as timestamp with time zone)
{%- endmacro %}

{% macro sqlite__time_literal(text) -%}
    '{{ text }}'
{%- endmacro %}
