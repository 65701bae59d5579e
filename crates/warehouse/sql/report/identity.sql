-- The identity of a store and what it records about the others. {schema} is realtime, errors or ops.

-- name: peers
select store, store_id, epoch, how_far, seen_at from {schema}.peers order by store;

-- name: read_realtime
-- Its identity, null when it has none yet, and how far it is by what lies in it: offsets, the
-- archive's list and the account of raw files, each of which only grows.
select i.data_id, i.store_id, i.epoch, i.how_far,
       cast(coalesce((select sum(next_offset) from realtime.offsets), 0)
          + coalesce((select sum(version) from realtime.hours), 0)
          + coalesce((select sum(records) from realtime.files), 0) as bigint) as found_how_far
from (select 1 as one) one_row left join realtime.identity i on i.id = 1;

-- name: read_errors
select i.data_id, i.store_id, i.epoch, i.how_far,
       cast(coalesce((select sum(next_offset) from errors.offsets), 0)
          + coalesce((select max(action_id) from errors.actions), 0)
          + coalesce((select sum(failures) from errors.retired), 0) as bigint) as found_how_far
from (select 1 as one) one_row left join errors.identity i on i.id = 1;

-- name: read_ops
select i.data_id, i.store_id, i.epoch, i.how_far,
       cast(coalesce((select sum(beat) from ops.scheduler_lease), 0)
          + coalesce((select count(*) from ops.dag_runs), 0)
          + coalesce((select max(failure_id) from ops.data_test_failures), 0)
          + coalesce((select count(*) from ops.silences), 0) as bigint) as found_how_far
from (select 1 as one) one_row left join ops.identity i on i.id = 1;

-- name: actions
-- What people, and bulk actions for them, did with errors.
select coalesce(max(action_id), 0) as newest from errors.actions;

-- name: files
-- What came by files, and what was archived: none of it is in the log.
select cast(coalesce((select sum(version) from realtime.hours), 0)
          + coalesce((select sum(records) from realtime.files), 0) as bigint) as how_far;

-- name: make
-- The first one to come makes it; the others find it made.
insert into {schema}.identity (id, data_id, store_id, epoch, how_far, made_at)
values (1, $1, $2, 1, $3, $4)
on conflict (id) do nothing;

-- name: go_on
update {schema}.identity set how_far = $1 where id = 1 and how_far < $1;

-- name: remember
-- The highest that was ever seen of that epoch; a newer epoch starts again.
insert into {schema}.peers as p (store, store_id, epoch, how_far, seen_at) values ($1, $2, $3, $4, $5)
on conflict (store) do update
set how_far = case when p.store_id = excluded.store_id and p.epoch = excluded.epoch and p.how_far > excluded.how_far
                   then p.how_far else excluded.how_far end,
    store_id = excluded.store_id, epoch = excluded.epoch, seen_at = excluded.seen_at;

-- name: forget
delete from {schema}.peers where store = $1;

-- name: adopt
-- A copy that was restored on purpose: a separate store from here on.
update {schema}.identity set data_id = $1, store_id = $2, epoch = $3, how_far = $4 where id = 1;

-- name: note_accepted
insert into {schema}.accepted (accepted_at, actor, store, store_id, epoch, note) values ($1, $2, $3, $4, $5, $6);

-- name: exists
-- On PostgreSQL, where a schema can be dropped by itself.
select case when to_regclass('{schema}.identity') is null then 0 else 1 end as is_there;

-- name: lost
select topic, partition, first_offset, next_offset, since, noted_at, accepted_at
from realtime.lost_records order by topic, partition, first_offset;

-- name: note_lost
insert into realtime.lost_records (
    topic, partition, first_offset, next_offset, since, noted_at, row_sum, accepted_sum
) values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict (topic, partition, first_offset) do nothing;

-- name: accept_lost
update realtime.lost_records set accepted_at = $4, accepted_by = $5, accepted_sum = $6
where topic = $1 and partition = $2 and first_offset = $3 and accepted_at is null;

-- name: not_accepted
select topic, partition, first_offset from realtime.lost_records where accepted_at is null;

-- name: realtime_places
select partition, next_offset, updated_at from realtime.offsets where topic = $1;

-- name: errors_places
select partition, next_offset, updated_at from errors.offsets where topic = $1;

-- name: move_realtime_place
update realtime.offsets set next_offset = $4, updated_at = $5, row_sum = $6
where topic = $1 and partition = $2 and next_offset = $3;

-- name: move_errors_place
update errors.offsets set next_offset = $4, updated_at = $5, row_sum = $6
where topic = $1 and partition = $2 and next_offset = $3;

-- name: newest_error
-- Behind the newest record of a partition that the queue has an error of.
select max(next_offset) as next_offset from (
    select max(record_offset) + 1 as next_offset from errors.dlq_errors where topic = $1 and partition = $2
    union all
    select max(record_offset) + 1 from errors.repeated_failures where topic = $1 and partition = $2
) t;
