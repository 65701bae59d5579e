-- What was closed long ago goes; how many failures there were stays.

-- name: closed
select error_id, topic, partition, fingerprint, status
from errors.dlq_errors
where resolved_at < $1 and status = $2
order by resolved_at
limit $3;

-- name: repeats_of
select topic, partition, count(*) from errors.repeated_failures where error_id = $1 group by topic, partition;

-- name: note_retired
insert into errors.retired (topic, partition, failures) values ($1, $2, $3)
on conflict (topic, partition) do update set failures = retired.failures + excluded.failures;

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
select coalesce(sum(failures), 0) from errors.retired;

-- name: drop_empty_groups
delete from errors.groups
where pending + retrying + exhausted + resolved + discarded = 0 and last_seen_at < $1;
