-- What others need to know of the dead-letter queue.

-- name: offsets
select partition, next_offset from errors.offsets where topic = $1 order by partition;

-- name: positions
-- Records of a topic that are known to have failed, in the order of their offsets.
select record_offset from errors.dlq_errors where topic = $1 and partition = $2 and record_offset >= $3
union all
select record_offset from errors.repeated_failures where topic = $1 and partition = $2 and record_offset >= $3;

-- name: recorded
-- How many failed records of a partition before an offset are known, those that retention has
-- removed included.
select (select count(*) from errors.dlq_errors where topic = $1 and partition = $2 and record_offset < $3)
     + (select count(*) from errors.repeated_failures where topic = $1 and partition = $2 and record_offset < $3)
     + coalesce((select failures from errors.retired where topic = $1 and partition = $2), 0);
