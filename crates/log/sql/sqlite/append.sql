-- name: insert_chunk
insert into chunks (
    topic, partition, base_offset, records, raw_bytes, stored_bytes, crc32, crc_covers, appended_at, data
) values (?1, ?2, ?3, ?4, ?5, ?6, ?7, 1, ?8, ?9);

-- name: save_position
insert into sources (source, position, updated_at, row_sum) values (?1, ?2, ?3, ?4)
on conflict (source) do update
set position = excluded.position, updated_at = excluded.updated_at, row_sum = excluded.row_sum;

-- name: forget_source
delete from sources where source = ?1;
