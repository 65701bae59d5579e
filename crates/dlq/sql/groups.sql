-- The counts of each group. Their sum is what there is in errors.dlq_errors.

-- name: arrive
-- Makes the group when it is new.
insert into errors.groups (
    fingerprint, error_type, stage, field, message, sample_message, sample_id, first_seen_at, last_seen_at,
    row_sum
) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
on conflict (fingerprint) do update
set first_seen_at = case when excluded.first_seen_at < groups.first_seen_at then excluded.first_seen_at
                         else groups.first_seen_at end,
    last_seen_at = case when excluded.last_seen_at > groups.last_seen_at then excluded.last_seen_at
                        else groups.last_seen_at end;

-- name: arrive_hour
insert into errors.group_hours (fingerprint, hour, errors) values ($1, $2, $3)
on conflict (fingerprint, hour) do update set errors = group_hours.errors + excluded.errors;

-- name: add
update errors.groups
set pending = pending + $2, retrying = retrying + $3, exhausted = exhausted + $4,
    resolved = resolved + $5, discarded = discarded + $6
where fingerprint = $1;
