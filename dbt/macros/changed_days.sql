{#
    Days whose totals in the metrics are not those in the mart: new ones, and old ones to which
    late events were added. Impressions and clicks are only ever added to, so a day with the same
    totals is the same day. A day that is gone from the metrics altogether stays in the mart until
    a full refresh, and marts_match_metrics_hourly tells of it. `condition` picks the mart's rows
    that together make one total.
#}
{% macro changed_days(metrics, mart, condition='1 = 1') -%}
    select metrics_days.metric_date
    from (
        select
            metric_date,
            sum(impressions) as impressions,
            sum(clicks) as clicks
        from {{ metrics }}
        group by metric_date
    ) as metrics_days
    left join (
        select
            metric_date,
            sum(impressions) as impressions,
            sum(clicks) as clicks
        from {{ mart }}
        where {{ condition }}
        group by metric_date
    ) as mart_days
        on metrics_days.metric_date = mart_days.metric_date
    where mart_days.metric_date is null
        or metrics_days.impressions <> mart_days.impressions
        or metrics_days.clicks <> mart_days.clicks
{%- endmacro %}
