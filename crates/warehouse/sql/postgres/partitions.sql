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
-- Nobody adds to the day between the count and its end.
lock table realtime.{table} in access exclusive mode;

-- name: count_day
select count(*) from realtime.{table};

-- name: drop_day
alter table realtime.events detach partition realtime.{table};
drop table realtime.{table};
