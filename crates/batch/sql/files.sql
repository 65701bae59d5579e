-- The account of raw files.

-- name: files_of_path
select path, content, reading, size, size_hash, modified, state, message, position, next_row,
       tail_position, tail_is_event, records, valid, clicks, duplicates,
       parse, schema, validation, future, sink, archive, 0 as late, float_ids, unknown_fields,
       first_event, last_event, started_at, content_sum
from realtime.files
where path = $1
order by reading;

-- name: progress
select position, next_row, records, state from realtime.files where path = $1 and content = $2 and reading = $3;

-- name: put_file
insert into realtime.files (
    path, content, reading, size, size_hash, modified, state, message, position, next_row,
    tail_position, tail_is_event, records, valid, clicks, duplicates,
    parse, schema, validation, future, sink, archive, float_ids, unknown_fields,
    first_event, last_event, started_at, updated_at, content_sum, row_sum
) values (
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21,
    $22, $23, $24, $25, $26, $27, $28, $29, $30
)
on conflict (path, content, reading) do update
set size = excluded.size, size_hash = excluded.size_hash, modified = excluded.modified,
    state = excluded.state, message = excluded.message, position = excluded.position,
    next_row = excluded.next_row, tail_position = excluded.tail_position,
    tail_is_event = excluded.tail_is_event, records = excluded.records, valid = excluded.valid,
    clicks = excluded.clicks, duplicates = excluded.duplicates, parse = excluded.parse,
    schema = excluded.schema, validation = excluded.validation, future = excluded.future,
    sink = excluded.sink, archive = excluded.archive, float_ids = excluded.float_ids, unknown_fields = excluded.unknown_fields,
    first_event = excluded.first_event, last_event = excluded.last_event,
    started_at = excluded.started_at, updated_at = excluded.updated_at,
    content_sum = excluded.content_sum, row_sum = excluded.row_sum;

-- name: replace_others
-- The state adds 0 to 3 to the sum of the row.
update realtime.files
set state = 'replaced', updated_at = $4,
    row_sum = row_sum + 3 - case state when 'reading' then 0 when 'done' then 1 else 2 end
where path = $1 and state <> 'replaced' and not (content = $2 and reading = $3);

-- name: errors_by_content
-- Rows in error of each content, as the reading of it says that found most.
select path, content, max(parse + schema + validation + future + sink + archive) as errors
from realtime.files
group by path, content;

-- name: errors_in_queue
-- Rows of files that the dead-letter queue has, those that retention has removed included.
select topic, sum(n) as errors
from (
    select topic, count(*) as n from errors.dlq_errors where topic like 'file:%' group by topic
    union all
    select topic, failures as n from errors.retired where topic like 'file:%'
) t
group by topic;

-- name: not_copied
-- Readings that ops.ingest_files does not have as they are.
select f.path, f.content, f.reading, f.size, f.state, f.message, f.records, f.valid, f.clicks,
       f.parse + f.schema + f.validation + f.future + f.sink + f.archive, f.duplicates, f.float_ids,
       f.first_event, f.last_event, f.started_at, f.updated_at
from realtime.files f
left join ops.ingest_files o on o.path = f.path and o.content = f.content and o.reading = f.reading
where o.path is null or o.updated_at <> f.updated_at or o.state <> f.state;

-- name: copy
insert into ops.ingest_files (
    path, content, reading, size, state, message, records, valid, clicks, invalid, duplicates, float_ids,
    first_event, last_event, started_at, updated_at
) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
on conflict (path, content, reading) do update
set size = excluded.size, state = excluded.state, message = excluded.message,
    records = excluded.records, valid = excluded.valid, clicks = excluded.clicks,
    invalid = excluded.invalid, duplicates = excluded.duplicates, float_ids = excluded.float_ids,
    first_event = excluded.first_event, last_event = excluded.last_event,
    started_at = excluded.started_at, updated_at = excluded.updated_at;
