{#
    For `dbt source freshness` on SQLite, and called by nothing else: dbt wants times from the
    database, dbt-sqlite hands out text. The same query as dbt's own, its two texts made times.
#}
{% macro sqlite__collect_freshness(source, loaded_at_field, filter) %}
    {%- set result = default__collect_freshness(source, loaded_at_field, filter) -%}
    {%- set times = [] -%}
    {%- for text in result['table'].rows[0] -%}
        {%- do times.append(modules.datetime.datetime.fromisoformat(text) if text else none) -%}
    {%- endfor -%}
    {%- do result.update({'table': [times]}) -%}
    {{ return(result) }}
{% endmacro %}
