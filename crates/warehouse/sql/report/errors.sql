-- What others need to know of the dead-letter queue.

-- name: offsets
select partition, next_offset from errors.offsets where topic = $1 order by partition;

-- name: positions
-- Records of a topic that are known to have failed, without what is known to be void.
select record_offset from errors.dlq_errors
where topic = $1 and partition = $2 and record_offset >= $3 and coalesce(resolution, '') <> 'void'
union all
select record_offset from errors.repeated_failures where topic = $1 and partition = $2 and record_offset >= $3;

-- name: recorded
-- How many failed records of a partition before an offset are known, those that retention has
-- removed included, without what is known to be void.
select (
           select count(*) from errors.dlq_errors
           where topic = $1 and partition = $2 and record_offset < $3 and coalesce(resolution, '') <> 'void'
       )
     + (select count(*) from errors.repeated_failures where topic = $1 and partition = $2 and record_offset < $3)
     + coalesce((select failures from errors.retired where topic = $1 and partition = $2), 0) as failures;
