-- name: oldest_chunks
-- The oldest chunks of a partition that all its readers are done with.
select chunk_id, stored_bytes, base_offset, records, appended_at
from chunks
where topic = ?1 and partition = ?2 and base_offset + records <= ?3
order by base_offset
limit ?4;

-- name: next_chunk
-- Where the oldest chunk begins, if any is left.
select min(base_offset) from chunks where topic = ?1 and partition = ?2;

-- name: delete_chunk
delete from chunks where chunk_id = ?1;

-- name: forget_stale_sources
delete from sources where updated_at < ?1;
