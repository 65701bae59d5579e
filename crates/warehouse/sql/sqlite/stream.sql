-- name: offsets
select partition, next_offset from realtime.offsets where topic = ?1 order by partition;

-- name: claim
-- Changes one row, or none if another process has already continued from there. Never creates one.
update realtime.offsets set next_offset = ?4, updated_at = ?5, row_sum = ?6
where topic = ?1 and partition = ?2 and next_offset = ?3;

-- name: begin_at
insert into realtime.offsets (topic, partition, next_offset, updated_at, row_sum)
values (?1, ?2, ?3, ?4, ?5)
on conflict (topic, partition) do nothing;

-- name: insert_event
insert into realtime.events (
    event_hour, event_id, event_time, click, banner_pos, device_type, device_conn_type,
    site_id, site_domain, site_category, app_id, app_domain, app_category,
    device_id, device_ip, device_model, c1, c14, c15, c16, c17, c18, c19, c20, c21, ingested_at
) values (
    ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13,
    ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26
)
on conflict (event_hour, event_id) do nothing;

-- name: add_minute
insert into realtime.metrics values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
on conflict do update
set impressions = impressions + excluded.impressions, clicks = clicks + excluded.clicks;

-- name: add_hour
insert into realtime.metrics_hourly values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
on conflict do update
set impressions = impressions + excluded.impressions, clicks = clicks + excluded.clicks;

-- name: record_commit
insert into realtime.commits (
    topic, partition, first_offset, next_offset, committed_at, records, valid, clicks, duplicates,
    parse, schema, validation, future, sink, archive, late, float_ids, unknown_fields, latency_counts,
    content_sum, row_sum
) values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21);

-- name: record_replay
insert into realtime.replays (
    topic, partition, record_offset, error_id, attempt, outcome, committed_at, row_sum
)
values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8);

-- name: newest_minute
select max(window_start) as newest from realtime.metrics;

-- name: has_event
select 1 from realtime.events where event_hour = ?1 and event_id = ?2;
