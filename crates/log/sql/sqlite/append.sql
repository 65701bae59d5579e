-- name: next_offset
select next_offset from partitions where topic = ?1 and partition = ?2;

-- name: insert_chunk
insert into chunks (topic, partition, base_offset, records, raw_bytes, stored_bytes, crc32, appended_at, data)
values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9);

-- name: begin_at_least
update partitions set next_offset = ?3 where topic = ?1 and partition = ?2 and next_offset < ?3;

-- name: advance
update partitions set next_offset = ?3 where topic = ?1 and partition = ?2;

-- name: save_position
insert into sources (source, position, updated_at) values (?1, ?2, ?3)
on conflict (source) do update set position = excluded.position, updated_at = excluded.updated_at;

-- name: forget_source
delete from sources where source = ?1;
