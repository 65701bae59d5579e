-- name: chunks_from
-- The chunk that holds offset ?3 may begin before it, hence the sub-select.
select base_offset, records, raw_bytes, crc32, appended_at, data
from chunks
where topic = ?1 and partition = ?2
  and base_offset >= coalesce(
      (select max(base_offset) from chunks where topic = ?1 and partition = ?2 and base_offset <= ?3), 0)
order by base_offset;

-- name: ranges
select p.partition,
       coalesce((select min(c.base_offset) from chunks c where c.topic = p.topic and c.partition = p.partition),
                p.next_offset),
       p.next_offset
from partitions p
where p.topic = ?1
order by p.partition;

-- name: position
select position from sources where source = ?1;

-- name: size
select coalesce(sum(stored_bytes), 0), count(*) from chunks;
