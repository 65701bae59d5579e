-- What was closed long ago goes; how many failures there were stays.

-- name: closed
-- Of a topic ($4, its beginning) and partition, before an offset; and not tried again at or behind
-- an offset of the retry topic ($7): what the log still holds is explained by its error.
select error_id, topic, partition, fingerprint, status, coalesce(resolution, '') as resolution
from errors.dlq_errors e
where resolved_at < $1 and status = $2
  and substr(topic, 1, length($4)) = $4 and partition = $5 and record_offset < $6
  and not exists (
      select 1 from errors.repeated_failures r where r.error_id = e.error_id and r.record_offset >= $7
  )
order by resolved_at
limit $3;

-- name: repeats_of
select topic, partition, count(*) as failures from errors.repeated_failures where error_id = $1 group by topic, partition;

-- name: note_retired
-- $5 is what they add to the sum of a row that is there.
insert into errors.retired (topic, partition, failures, row_sum) values ($1, $2, $3, $4)
on conflict (topic, partition) do update
set failures = retired.failures + excluded.failures, row_sum = retired.row_sum + $5;

-- name: delete_error
delete from errors.dlq_errors where error_id = $1 and status = $2;

-- name: delete_repeats
delete from errors.repeated_failures where error_id = $1;

-- name: delete_tries
delete from errors.retry_history where error_id = $1;

-- name: delete_actions
delete from errors.actions where error_id = $1;

-- name: drop_hours
delete from errors.group_hours where hour < $1;

-- name: retired_total
select coalesce(sum(failures), 0) as failures from errors.retired;

-- name: drop_empty_groups
delete from errors.groups
where pending + retrying + exhausted + resolved + discarded = 0 and last_seen_at < $1;
