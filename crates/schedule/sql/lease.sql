-- The one active scheduler, and the one active monitor. Both databases.

-- name: read
select owner, epoch, beat, ttl_ms, process, released from ops.scheduler_lease where name = $1;

-- name: first
insert into ops.scheduler_lease (name, owner, epoch, beat, ttl_ms, process, released, renewed_at)
values ($1, $2, 1, 0, $3, $4, 0, $5)
on conflict (name) do nothing;

-- name: take
-- Only when it is still as it was looked at.
update ops.scheduler_lease
set owner = $2, epoch = epoch + 1, beat = beat + 1, ttl_ms = $3, process = $4, released = 0, renewed_at = $5
where name = $1 and epoch = $6 and beat = $7;

-- name: fence
-- First of all in every transaction of the holder: no row, and nothing may be changed.
update ops.scheduler_lease
set beat = beat + 1, renewed_at = $4
where name = $1 and owner = $2 and epoch = $3;

-- name: release
update ops.scheduler_lease set released = 1, beat = beat + 1 where name = $1 and owner = $2 and epoch = $3;
