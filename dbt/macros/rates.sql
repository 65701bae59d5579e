{#
    Rates are doubles made from whole numbers by the same operations in the same order on both
    databases: + - * / and sqrt are exactly specified (IEEE 754), so the results are the same to
    the last bit and need no rounding. 1.96 (its square is 3.8416) is the two-sided 95 % point of
    the normal distribution. A constant like 1.96 is numeric on PostgreSQL and must be cast.
#}


{# Part of a whole, as a fraction. Null when the whole is zero or null. #}
{% macro ratio(part, whole) -%}
    cast(case
        when {{ whole }} > 0
            then cast({{ part }} as double precision) / cast({{ whole }} as double precision)
    end as double precision)
{%- endmacro %}


{#
    Lower end of the 95 % Wilson score interval of clicks / impressions: E. B. Wilson, "Probable
    Inference, the Law of Succession, and Statistical Inference", Journal of the American
    Statistical Association 22 (1927), 209-212. Null without impressions, and when there are more
    clicks than impressions: that is for a test to tell, not for sqrt to stumble over.
#}
{% macro ctr_low(clicks, impressions) -%}
    cast(case
        when {{ impressions }} <= 0 or {{ clicks }} < 0 or {{ clicks }} > {{ impressions }}
            then null
        when {{ clicks }} = 0
            then cast(0 as double precision)
        else ({{ clicks }} + cast(1.9208 as double precision) - {{ wilson_spread(clicks, impressions) }})
            / ({{ impressions }} + cast(3.8416 as double precision))
    end as double precision)
{%- endmacro %}


{# Upper end of the same interval. #}
{% macro ctr_high(clicks, impressions) -%}
    cast(case
        when {{ impressions }} <= 0 or {{ clicks }} < 0 or {{ clicks }} > {{ impressions }}
            then null
        when {{ clicks }} = {{ impressions }}
            then cast(1 as double precision)
        else ({{ clicks }} + cast(1.9208 as double precision) + {{ wilson_spread(clicks, impressions) }})
            / ({{ impressions }} + cast(3.8416 as double precision))
    end as double precision)
{%- endmacro %}


{# Half the width of the interval times (impressions + 3.8416). For the two macros above only. #}
{% macro wilson_spread(clicks, impressions) -%}
    cast(1.96 as double precision) * sqrt(
                cast({{ clicks }} as double precision) * ({{ impressions }} - {{ clicks }})
                / cast({{ impressions }} as double precision)
                + cast(0.9604 as double precision)
            )
{%- endmacro %}


{#
    Where a group's CTR stands against the average: 'above' or 'below' only when the average lies
    outside the group's interval, else 'unclear'. Null when there is no CTR.
#}
{% macro against_average(ctr_low, ctr_high, average_ctr) -%}
    cast(case
        when {{ ctr_low }} is null or {{ average_ctr }} is null then null
        when {{ ctr_low }} > {{ average_ctr }} then 'above'
        when {{ ctr_high }} < {{ average_ctr }} then 'below'
        else 'unclear'
    end as text)
{%- endmacro %}


{# The name of a code, or the code itself when the seed does not know it. #}
{% macro name_or_code(name, code) -%}
    cast(coalesce({{ name }}, 'Code ' || cast({{ code }} as text)) as text)
{%- endmacro %}
