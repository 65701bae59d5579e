-- name: drop_minutes
delete from realtime.metrics
where window_start in (
    select distinct window_start from realtime.metrics
    where window_start < $1
    order by window_start
    limit 60
);

-- name: try_lock
-- Two processes that keep house at once: one is enough. "admerge" in ASCII.
select pg_try_advisory_xact_lock(27413493757142885);

-- name: merge_commits
-- Old commits become one row a partition and hour: the account stays whole, the table small.
-- Only where they follow each other without a gap between them. Gaps within them are Kafka's.
with merged as (
    select topic, partition, min(first_offset) as first_offset, max(next_offset) as next_offset,
           max(committed_at) as committed_at, sum(records) as records, sum(valid) as valid, sum(clicks) as clicks,
           sum(duplicates) as duplicates, sum(parse) as parse, sum(schema) as schema,
           sum(validation) as validation, sum(future) as future, sum(sink) as sink,
           sum(archive) as archive, sum(late) as late,
           sum(float_ids) as float_ids, sum(unknown_fields) as unknown_fields
    from realtime.commits
    where committed_at < $1
    group by topic, partition, date_trunc('hour', committed_at, 'UTC')
    having count(*) > 1 and sum(next_offset - first_offset) = max(next_offset) - min(first_offset)
), deleted as (
    delete from realtime.commits c
    using merged m
    where m.topic = c.topic and m.partition = c.partition
      and c.first_offset >= m.first_offset and c.next_offset <= m.next_offset
    returning 1
), inserted as (
    insert into realtime.commits (
        topic, partition, first_offset, next_offset, committed_at, records, valid, clicks, duplicates,
        parse, schema, validation, future, sink, archive, late, float_ids, unknown_fields, latency_counts
    )
    select topic, partition, first_offset, next_offset, committed_at, records, valid, clicks, duplicates,
           parse, schema, validation, future, sink, archive, late, float_ids, unknown_fields, ''
    from merged
    returning 1
)
select (select count(*) from deleted) - (select count(*) from inserted);

-- name: drop_replays
delete from realtime.replays where committed_at < $1;
