-- Sums that prove that what is stored is what was written. `adpipe verify --deep` compares them.

-- One row an hour: how many events were counted, and the sum of their contents modulo 2^62, in
-- whichever of realtime.events and the archive they lie. Null: events are among them that were
-- counted before sums were kept; `adpipe verify --deep --seal` fills it in.
create table realtime.content_sums (
    event_hour  text    primary key,
    events      integer not null check (events >= 0),
    content_sum integer
) without rowid;

insert into realtime.content_sums (event_hour, events, content_sum)
select window_start, sum(impressions), null
from realtime.metrics_hourly
group by window_start;

-- content_sum: of the events that a commit or a file counted. row_sum: of the row itself; null in
-- rows that were written before sums were kept.
alter table realtime.commits add column content_sum integer;
alter table realtime.commits add column row_sum integer;
alter table realtime.files add column content_sum integer;
alter table realtime.files add column row_sum integer;
alter table realtime.offsets add column row_sum integer;
alter table realtime.replays add column row_sum integer;
alter table realtime.archive_parts add column row_sum integer;
alter table realtime.archive_part_hours add column row_sum integer;
alter table realtime.hours add column row_sum integer;
alter table realtime.minutes_floor add column row_sum integer;
alter table realtime.lost_records add column row_sum integer;
alter table realtime.lost_records add column accepted_sum integer;

-- Written when nothing had been counted yet: it says nothing, and is not a time.
delete from realtime.minutes_floor where kept_since like '-%';
