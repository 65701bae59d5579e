-- Merging old commits; ../sqlite/retention.sql and ../postgres/retention.sql say which.

-- name: commits_within
select topic, partition, first_offset, next_offset, committed_at, records, valid, clicks, duplicates,
       parse, schema, validation, future, sink, archive, late, float_ids, unknown_fields, latency_counts,
       content_sum, row_sum
from realtime.commits
where topic = $1 and partition = $2 and first_offset >= $3 and next_offset <= $4
order by first_offset;

-- name: delete_within
delete from realtime.commits
where topic = $1 and partition = $2 and first_offset >= $3 and next_offset <= $4;

-- name: insert_merged
insert into realtime.commits (
    topic, partition, first_offset, next_offset, committed_at, records, valid, clicks, duplicates,
    parse, schema, validation, future, sink, archive, late, float_ids, unknown_fields, latency_counts,
    content_sum, row_sum
) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21);
