-- The interval against values worked out apart from this project, and at its edges. The sixth
-- decimal is what the values are given to.
{% set cases = [
    ['0', '0', 'null', 'null'],
    ['0', '10', '0.0', '0.277540'],
    ['10', '10', '0.722460', '1.0'],
    ['1', '4', '0.045586', '0.699364'],
    ['10', '100', '0.055229', '0.174367'],
    ['170000', '1000000', '0.169265', '0.170738'],
    ['5', '4', 'null', 'null']
] %}

with cases as (

    {% for case in cases %}
    select
        cast({{ case[0] }} as bigint) as clicks,
        cast({{ case[1] }} as bigint) as impressions,
        cast({{ case[2] }} as double precision) as expected_low,
        cast({{ case[3] }} as double precision) as expected_high
    {% if not loop.last %}
    union all
    {% endif %}
    {% endfor %}

),

intervals as (

    select
        clicks,
        impressions,
        expected_low,
        expected_high,
        {{ ctr_low('clicks', 'impressions') }} as found_low,
        {{ ctr_high('clicks', 'impressions') }} as found_high
    from cases

)

select *
from intervals
where coalesce(abs(found_low - expected_low) > 0.0000006, found_low is not null or expected_low is not null)
    or coalesce(abs(found_high - expected_high) > 0.0000006, found_high is not null or expected_high is not null)
