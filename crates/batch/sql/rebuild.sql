-- A warehouse made again.

-- name: no_timeouts
-- PostgreSQL: all of it is one transaction, which may take as long as it takes.
set local statement_timeout = 0;

-- name: no_idle_timeout
set local idle_in_transaction_session_timeout = 0;

-- name: tables
-- What is made again, one table a line. Not the identity of the store, nor which runs there were.
realtime.events
realtime.metrics
realtime.metrics_hourly
realtime.content_sums
realtime.offsets
realtime.commits
realtime.replays
realtime.archive_parts
realtime.archive_part_hours
realtime.hours
realtime.minutes_floor
realtime.files
realtime.unreadable_hours
realtime.invalid_offsets
realtime.invalid_since

-- name: put_offset
insert into realtime.offsets (topic, partition, next_offset, updated_at, row_sum) values ($1, $2, $3, $4, $5);

-- name: put_invalid_since
-- Which records before this are in error, the queue knows.
insert into realtime.invalid_since (topic, partition, next_offset) values ($1, $2, $3);

-- name: reported_files
-- What ops.ingest_files has of each reading, which is copied there at the end of a run.
select path, content, reading, size, state, message, records, valid, clicks, invalid, duplicates, float_ids,
       first_event, last_event, started_at
from ops.ingest_files
order by path, content, reading;

-- name: error_types
-- What kinds of error the queue knows of some records of a topic.
select error_type, count(*) as errors
from errors.dlq_errors
where topic = $1 and partition = $2 and record_offset >= $3 and record_offset < $4
group by error_type;

-- name: error_type
select error_type from errors.dlq_errors where topic = $1 and partition = $2 and record_offset = $3;
