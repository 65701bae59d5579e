-- Sums that prove that what is stored is what was written (../sqlite/realtime_0006.sql,
-- ../sqlite/errors_0004.sql).

create table realtime.content_sums (
    event_hour  timestamptz primary key,
    events      bigint      not null check (events >= 0),
    content_sum bigint
) with (fillfactor = 50);   -- added to by every commit

insert into realtime.content_sums (event_hour, events, content_sum)
select window_start, sum(impressions)::bigint, null
from realtime.metrics_hourly
group by window_start;

alter table realtime.commits add column content_sum bigint, add column row_sum bigint;
alter table realtime.files add column content_sum bigint, add column row_sum bigint;
alter table realtime.offsets add column row_sum bigint;
alter table realtime.replays add column row_sum bigint;
alter table realtime.archive_parts add column row_sum bigint;
alter table realtime.archive_part_hours add column row_sum bigint;
alter table realtime.hours add column row_sum bigint;
alter table realtime.minutes_floor add column row_sum bigint;
alter table realtime.lost_records add column row_sum bigint, add column accepted_sum bigint;

alter table errors.dlq_errors
    add column record_sum bigint,   -- the record as received, and where from
    add column cause_sum bigint,    -- what is wrong with it
    add column edit_sum bigint,     -- what is sent instead
    add column state_sum bigint;    -- where it stands
alter table errors.groups add column row_sum bigint;
alter table errors.retry_history add column row_sum bigint, add column outcome_sum bigint;
alter table errors.repeated_failures add column row_sum bigint;
alter table errors.actions add column row_sum bigint;
alter table errors.jobs add column row_sum bigint;
alter table errors.offsets add column row_sum bigint;
alter table errors.retired add column row_sum bigint;
