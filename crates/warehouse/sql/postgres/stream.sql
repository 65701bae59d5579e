-- name: offsets
select partition, next_offset from realtime.offsets where topic = $1 order by partition;

-- name: claim
-- Changes one row, or none when somebody else has already gone on from there. Two processors
-- that claim the same offset at once wait for each other on the row; the second one finds it moved.
-- It never makes the row: when a crash of the server has undone a partition's first commits, its
-- row is gone with them, and a processor that goes on behind them must be told.
update realtime.offsets set next_offset = $4, updated_at = $5, row_sum = $6
where topic = $1 and partition = $2 and next_offset = $3;

-- name: begin_at
insert into realtime.offsets (topic, partition, next_offset, updated_at, row_sum)
values ($1, $2, $3, $4, $5)
on conflict (topic, partition) do nothing;

-- name: copy_events
copy realtime.events (
    event_hour, event_id, event_time, click, banner_pos, device_type, device_conn_type,
    site_id, site_domain, site_category, app_id, app_domain, app_category,
    device_id, device_ip, device_model, c1, c14, c15, c16, c17, c18, c19, c20, c21, ingested_at
) from stdin (format binary)

-- name: copy_incoming
copy incoming_events (
    event_hour, event_id, event_time, click, banner_pos, device_type, device_conn_type,
    site_id, site_domain, site_category, app_id, app_domain, app_category,
    device_id, device_ip, device_model, c1, c14, c15, c16, c17, c18, c19, c20, c21, ingested_at
) from stdin (format binary)

-- name: insert_incoming
-- In the order of the key, so that two writers who meet wait for each other and do not deadlock.
insert into realtime.events
select * from incoming_events order by event_hour, event_id
on conflict (event_hour, event_id) do nothing
returning event_hour, event_id;

-- name: clear_incoming
delete from incoming_events;

-- name: ids_of_hour
select event_id from realtime.events where event_hour = $1 limit $2;

-- name: add_minutes
insert into realtime.metrics as m (
    window_start, banner_pos, device_type, device_conn_type, site_category, app_category, impressions, clicks
)
select * from unnest($1::timestamptz[], $2::smallint[], $3::smallint[], $4::smallint[], $5::text[], $6::text[], $7::bigint[], $8::bigint[])
on conflict (window_start, banner_pos, device_type, device_conn_type, site_category, app_category) do update
set impressions = m.impressions + excluded.impressions, clicks = m.clicks + excluded.clicks;

-- name: add_hours
insert into realtime.metrics_hourly as m (
    window_start, banner_pos, device_type, device_conn_type, site_category, app_category, impressions, clicks
)
select * from unnest($1::timestamptz[], $2::smallint[], $3::smallint[], $4::smallint[], $5::text[], $6::text[], $7::bigint[], $8::bigint[])
on conflict (window_start, banner_pos, device_type, device_conn_type, site_category, app_category) do update
set impressions = m.impressions + excluded.impressions, clicks = m.clicks + excluded.clicks;

-- name: record_commit
insert into realtime.commits (
    topic, partition, first_offset, next_offset, committed_at, records, valid, clicks, duplicates,
    parse, schema, validation, future, sink, archive, late, float_ids, unknown_fields, latency_counts,
    content_sum, row_sum
) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21);

-- name: record_replay
insert into realtime.replays (
    topic, partition, record_offset, error_id, attempt, outcome, committed_at, row_sum
)
values ($1, $2, $3, $4, $5, $6, $7, $8);

-- name: newest_minute
select max(window_start) from realtime.metrics;

-- name: which_exist
-- Numbers, from 1, of the keys that are there.
select k.number
from unnest($1::timestamptz[], $2::text[]) with ordinality as k (event_hour, event_id, number)
join realtime.events e on e.event_hour = k.event_hour and e.event_id = k.event_id;

-- name: share_archive
-- Until this transaction ends, nothing is added to the archive. "adparts" in ASCII.
select pg_advisory_xact_lock_shared(27413506574939251);

-- name: lock_archive
-- Until this transaction ends, no events are inserted and nothing is added to the archive.
select pg_advisory_xact_lock(27413506574939251);

-- name: archived_hours
-- A separate statement after the lock: it sees what was committed while it waited.
select event_hour, version, archived_rows, hot_copies from realtime.hours where event_hour = any($1);
