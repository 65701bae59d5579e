-- The time macros at the edges: the last second of a year, a leap day, a Sunday.

with times as (

    select
        {{ time_literal('2012-12-31 23:59:59') }} as end_of_year,
        {{ time_literal('2012-02-29 00:00:00') }} as leap_day,
        {{ time_literal('2014-10-26 10:01:00') }} as sunday

),

cases as (

    select
        'hour of day' as name,
        {{ hour_of_day('end_of_year') }} as found,
        23 as expected
    from times

    union all

    select
        'monday' as name,
        {{ day_of_week('end_of_year') }} as found,
        1 as expected
    from times

    union all

    select
        'sunday' as name,
        {{ day_of_week('sunday') }} as found,
        7 as expected
    from times

    union all

    select
        'hour after the last of the year' as name,
        case
            when {{ add_hours(hour_of('end_of_year'), 1) }} = {{ time_literal('2013-01-01 00:00:00') }} then 1
            else 0
        end as found,
        1 as expected
    from times

    union all

    select
        'minute' as name,
        case
            when {{ minute_of('end_of_year') }} = {{ time_literal('2012-12-31 23:59:00') }} then 1
            else 0
        end as found,
        1 as expected
    from times

    union all

    select
        'day after the leap day' as name,
        case
            when {{ add_days(date_of('leap_day'), 1) }} = {{ date_of(time_literal('2012-03-01 00:00:00')) }} then 1
            else 0
        end as found,
        1 as expected
    from times

)

select *
from cases
where found <> expected
