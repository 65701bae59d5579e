-- name: chunks_from
-- The chunk that holds offset ?3 may begin before it, hence the sub-select.
select base_offset, records, raw_bytes, stored_bytes, crc32, crc_covers, appended_at, data
from chunks
where topic = ?1 and partition = ?2
  and base_offset >= coalesce(
      (select max(base_offset) from chunks where topic = ?1 and partition = ?2 and base_offset <= ?3), 0)
order by base_offset;

-- name: end_before
-- Where the chunk ends that comes before the one at offset ?3.
select base_offset + records
from chunks
where topic = ?1 and partition = ?2 and base_offset < ?3
order by base_offset desc
limit 1;

-- name: position
select position, updated_at, row_sum from sources where source = ?1;

-- name: size
select coalesce(sum(stored_bytes), 0), count(*) from chunks;

-- name: integrity_check
pragma integrity_check(20);
