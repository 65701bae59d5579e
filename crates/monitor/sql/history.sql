-- What was measured and what processes used, kept for charts. Both databases.

-- name: add_readings
-- The rows follow.
insert into ops.readings (at, signal, labels, value) values

-- name: readings
select labels, at, value
from ops.readings
where signal = $1 and at >= $2 and at <= $3
order by labels, at;

-- name: reading_before
-- The newest reading of a signal without labels up to a time, if it is not too old.
select value
from ops.readings
where signal = $1 and labels = '{}' and at <= $2 and at >= $3
order by at desc
limit 1;

-- name: samples
select process, at, cpu_seconds, memory_bytes, open_files, disk_free, disk_size
from ops.process_samples
where at >= $1 and at <= $2
order by at;

-- name: introduce
insert into ops.processes (process, host, pid, roles, version, started_at, seen_at)
values ($1, $2, $3, $4, $5, $6, $7)
on conflict (process) do update set seen_at = excluded.seen_at, ended_at = null;

-- name: end
update ops.processes set seen_at = $2, ended_at = $2 where process = $1;

-- name: add_sample
insert into ops.process_samples (at, process, cpu_seconds, memory_bytes, open_files, disk_free, disk_size)
values ($1, $2, $3, $4, $5, $6, $7)
on conflict (at, process) do nothing;

-- name: drop_readings
delete from ops.readings where at < $1;

-- name: drop_samples
delete from ops.process_samples where at < $1;

-- name: drop_processes
delete from ops.processes where seen_at < $1;
