-- name: identity
select log_id, epoch, created_at, row_sum from log_identity where id = 1;

-- name: write_identity
insert into log_identity (id, log_id, epoch, created_at, row_sum) values (1, ?1, ?2, ?3, ?4)
on conflict (id) do update set epoch = excluded.epoch, row_sum = excluded.row_sum;

-- name: has_sums
-- Whether this log was ever completed: then it had an identity.
select exists (select 1 from partitions where row_sum is not null);

-- name: make_partition
insert into partitions (topic, partition) values (?1, ?2) on conflict do nothing;

-- name: all_partitions
select topic, partition, first_offset, next_offset from partitions;

-- name: all_sources
select source, position, updated_at from sources;

-- name: set_source_sum
update sources set row_sum = ?2 where source = ?1;

-- name: all_gaps
select topic, partition, from_offset, to_offset, epoch, at from log_gaps;

-- name: set_gap_sum
update log_gaps set row_sum = ?4 where topic = ?1 and partition = ?2 and from_offset = ?3;

-- name: insert_gap
insert into log_gaps (topic, partition, from_offset, to_offset, epoch, at, row_sum)
values (?1, ?2, ?3, ?4, ?5, ?6, ?7);

-- name: gaps
select partition, from_offset, to_offset, epoch, at, row_sum
from log_gaps
where topic = ?1
order by partition, from_offset;

-- name: partitions
select partition, first_offset, next_offset, row_sum from partitions where topic = ?1 order by partition;

-- name: partition
select partition, first_offset, next_offset, row_sum from partitions where topic = ?1 and partition = ?2;

-- name: write_partition
update partitions set first_offset = ?3, next_offset = ?4, row_sum = ?5 where topic = ?1 and partition = ?2;

-- name: has_chunks
select exists (select 1 from chunks where topic = ?1 and partition = ?2);
