{% macro positions() %}
    {% if execute %}
        {% set found = run_query("select distinct banner_pos from realtime.metrics_hourly order by 1") %}
        {{ return(found.columns[0].values()) }}
    {% endif %}
    {{ return([]) }}
{% endmacro %}
