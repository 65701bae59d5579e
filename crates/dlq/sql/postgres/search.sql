-- As ../sqlite/search.sql.

-- name: of_group
select error_id, 1 as is_wanted, '' as fingerprint, '' as status
from errors.dlq_errors
where fingerprint = $1 and status = $2 and error_id {beyond} $3 and error_id {within} $4
order by error_id {order}
limit $5;

-- name: of_group_matching
select error_id,
       starts_with(topic, $6)
       and ($7 = '' or position($7 in error_message) > 0 or position($8::bytea in raw_payload) > 0
            or position($8::bytea in coalesce(edited_payload, '')) > 0) as is_wanted,
       '' as fingerprint, '' as status
from errors.dlq_errors
where fingerprint = $1 and status = $2 and error_id {beyond} $3 and error_id {within} $4
order by error_id {order}
limit $5;

-- name: of_all
select error_id,
       starts_with(topic, $4)
       and ($5 = '' or position($5 in error_message) > 0 or position($6::bytea in raw_payload) > 0
            or position($6::bytea in coalesce(edited_payload, '')) > 0) as is_wanted,
       fingerprint, status
from errors.dlq_errors
where error_id {beyond} $1 and error_id {within} $2
order by error_id {order}
limit $3;
