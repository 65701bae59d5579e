-- name: lock
-- One maker of partitions at a time, until its transaction ends. "addays" in ASCII.
select pg_advisory_xact_lock(107083808733555);

-- name: make_day
-- {table}, {from} and {to} are filled in by us: a date has no other form. Attaching a table takes
-- a lock that neither readers nor writers of realtime.events wait for; `partition of` would.
do $$
begin
    if to_regclass('realtime.{table}') is null then
        create table realtime.{table} (like realtime.events including all);
        alter table realtime.events attach partition realtime.{table}
            for values from ('{from}+00') to ('{to}+00');
    end if;
end
$$;

-- name: day_exists
select to_regclass('realtime.' || $1) is not null;

-- name: lock_day
-- Nothing is added to the day between the count and its end.
lock table realtime.{table} in access exclusive mode;

-- name: count_day
select count(*) from realtime.{table};

-- name: drop_day
alter table realtime.events detach partition realtime.{table};
drop table realtime.{table};

-- name: newest_hour
select max(window_start) from realtime.metrics_hourly;

-- name: leaving_days
-- Days that end before $1, and whose hot events are all in the archive.
select date_trunc('day', h.event_hour, 'UTC')
from realtime.hours h
where h.event_hour < $1
group by 1
having sum(h.hot_copies) > 0
   and sum(h.hot_copies) = (
       select count(*) from realtime.events e
       where e.event_hour >= date_trunc('day', min(h.event_hour), 'UTC')
         and e.event_hour < date_trunc('day', min(h.event_hour), 'UTC') + interval '1 day'
   )
   -- Of hours whose parts cannot be read the hot events may be the only good copy.
   and not exists (
       select from realtime.unreadable_hours u
       where u.event_hour >= date_trunc('day', min(h.event_hour), 'UTC')
         and u.event_hour < date_trunc('day', min(h.event_hour), 'UTC') + interval '1 day'
   )
order by 1;

-- name: copies_of_day
select coalesce(sum(hot_copies), 0)::bigint from realtime.hours where event_hour >= $1 and event_hour < $2;

-- name: forget_copies
-- $3 is what one copy adds to the row's sum.
update realtime.hours set hot_copies = 0, row_sum = row_sum - hot_copies * $3
where event_hour >= $1 and event_hour < $2 and hot_copies > 0;
