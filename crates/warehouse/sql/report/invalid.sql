-- Which records are in error, by the commits' own word.

-- name: add
insert into realtime.invalid_offsets (
    topic, partition, first_offset, next_offset, committed_at, offsets, row_sum
) values ($1, $2, $3, $4, $5, $6, $7);

-- name: since
select next_offset from realtime.invalid_since where topic = $1 and partition = $2;

-- name: between
select first_offset, next_offset, offsets, row_sum
from realtime.invalid_offsets
where topic = $1 and partition = $2 and next_offset > $3 and first_offset < $4
order by first_offset;

-- name: old
-- Up to where the commits of each partition are old, if more of them are than was known.
select c.topic, c.partition, max(c.next_offset) as next_offset
from realtime.commits c
left join realtime.invalid_since s on s.topic = c.topic and s.partition = c.partition
where c.committed_at < $1
group by c.topic, c.partition
having max(c.next_offset) > coalesce(max(s.next_offset), 0);

-- name: set_since
insert into realtime.invalid_since (topic, partition, next_offset) values ($1, $2, $3)
on conflict (topic, partition) do update set next_offset = excluded.next_offset;

-- name: drop
delete from realtime.invalid_offsets where topic = $1 and partition = $2 and first_offset < $3;
