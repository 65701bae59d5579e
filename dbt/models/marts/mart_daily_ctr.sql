-- One row a day is little, and each day looks at the seven before it: made anew each time.

with days as (

    select
        metric_date,
        cast(count(distinct window_start) as integer) as hours_with_data,
        cast(sum(impressions) as bigint) as impressions,
        cast(sum(clicks) as bigint) as clicks
    from {{ ref('stg_metrics_hourly') }}
    group by metric_date

),

-- Of the calendar, not of the rows: a day without data is missing and not skipped over.
last_seven_days as (

    select
        days.metric_date,
        cast(count(*) as integer) as days_in_7d,
        cast(sum(earlier.impressions) as bigint) as impressions_7d,
        cast(sum(earlier.clicks) as bigint) as clicks_7d
    from days
    inner join days as earlier
        on earlier.metric_date between {{ add_days('days.metric_date', -6) }} and days.metric_date
    group by days.metric_date

),

days_with_the_day_before as (

    select
        days.metric_date,
        days.hours_with_data,
        days.impressions,
        days.clicks,
        {{ ratio('days.clicks', 'days.impressions') }} as ctr,
        {{ ctr_low('days.clicks', 'days.impressions') }} as ctr_low,
        {{ ctr_high('days.clicks', 'days.impressions') }} as ctr_high,
        previous.impressions as previous_impressions,
        {{ ratio('previous.clicks', 'previous.impressions') }} as previous_ctr
    from days
    left join days as previous
        on previous.metric_date = {{ add_days('days.metric_date', -1) }}

)

select
    this_day.metric_date,
    this_day.hours_with_data,
    this_day.impressions,
    this_day.clicks,
    this_day.ctr,
    this_day.ctr_low,
    this_day.ctr_high,
    this_day.previous_ctr,
    cast(this_day.ctr - this_day.previous_ctr as double precision) as ctr_change,
    {{ ratio('this_day.impressions - this_day.previous_impressions', 'this_day.previous_impressions') }}
        as impressions_change,
    last_seven_days.days_in_7d,
    last_seven_days.impressions_7d,
    last_seven_days.clicks_7d,
    {{ ratio('last_seven_days.clicks_7d', 'last_seven_days.impressions_7d') }} as ctr_7d
from days_with_the_day_before as this_day
inner join last_seven_days
    on this_day.metric_date = last_seven_days.metric_date
