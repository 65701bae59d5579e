-- What the account of the archive takes over, row by row.

-- name: archive_parts
select * from realtime.archive_parts order by path;

-- name: archive_part_hours
select * from realtime.archive_part_hours order by path, event_hour;

-- name: files
select * from realtime.files order by path, content, reading;

-- name: offsets
select * from realtime.offsets order by topic, partition;

-- name: commits
select topic, partition, first_offset, next_offset, committed_at, records, valid, clicks, duplicates,
       late, float_ids, unknown_fields, {types}, content_sum
from realtime.commits
order by topic, partition, first_offset;

-- name: minutes
select (select kept_since from realtime.minutes_floor) as minutes_floor,
       (select min(window_start) from realtime.metrics) as first_minute;
