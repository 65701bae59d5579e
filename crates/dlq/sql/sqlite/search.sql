-- Errors of one group and status, in the order of their ids, a window at a time: whether each of
-- them also meets the topic ($6, its beginning) and the text ($7, as bytes $8). {order} and
-- {beyond} are asc and >, or desc and <.

-- name: of_group
select error_id, 1 as is_wanted, '' as fingerprint, '' as status
from errors.dlq_errors
where fingerprint = $1 and status = $2 and error_id {beyond} $3 and error_id {within} $4
order by error_id {order}
limit $5;

-- name: of_group_matching
select error_id,
       substr(topic, 1, length($6)) = $6
       and ($7 = '' or instr(error_message, $7) > 0 or instr(raw_payload, $8) > 0
            or instr(coalesce(edited_payload, x''), $8) > 0) as is_wanted,
       '' as fingerprint, '' as status
from errors.dlq_errors
where fingerprint = $1 and status = $2 and error_id {beyond} $3 and error_id {within} $4
order by error_id {order}
limit $5;

-- name: of_all
select error_id,
       substr(topic, 1, length($4)) = $4
       and ($5 = '' or instr(error_message, $5) > 0 or instr(raw_payload, $6) > 0
            or instr(coalesce(edited_payload, x''), $6) > 0) as is_wanted,
       fingerprint, status
from errors.dlq_errors
where error_id {beyond} $1 and error_id {within} $2
order by error_id {order}
limit $3;
