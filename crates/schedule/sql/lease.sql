-- The one active scheduler. Both databases.

-- name: read
select owner, epoch, beat, ttl_ms, process, released from ops.scheduler_lease where name = 'scheduler';

-- name: first
insert into ops.scheduler_lease (name, owner, epoch, beat, ttl_ms, process, released, renewed_at)
values ('scheduler', $1, 1, 0, $2, $3, 0, $4)
on conflict (name) do nothing;

-- name: take
-- Only when it is still as it was looked at.
update ops.scheduler_lease
set owner = $1, epoch = epoch + 1, beat = beat + 1, ttl_ms = $2, process = $3, released = 0, renewed_at = $4
where name = 'scheduler' and epoch = $5 and beat = $6;

-- name: fence
-- First of all in every transaction of the scheduler: no row, and nothing may be changed.
update ops.scheduler_lease
set beat = beat + 1, renewed_at = $3
where name = 'scheduler' and owner = $1 and epoch = $2;

-- name: release
update ops.scheduler_lease set released = 1, beat = beat + 1 where name = 'scheduler' and owner = $1 and epoch = $2;
