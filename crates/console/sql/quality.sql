-- What the page "Data quality" shows; both databases understand it.

-- name: tests
-- The last $1 results of every test, the newest first. The ids come out of an index alone, and
-- then each test's newest results out of the same index, so that a long history costs little.
select d.test_id, d.name, d.kind, d.attached, d.column_name, d.severity, d.status, d.failures, d.message,
       d.engine, d.started_at, d.seconds
from (select distinct test_id from ops.data_tests) as t
join ops.data_tests as d
    on d.test_id = t.test_id
    and d.started_at >= (
        select min(h.started_at)
        from (
            select n.started_at from ops.data_tests as n
            where n.test_id = t.test_id
            order by n.started_at desc
            limit $1
        ) as h
    )
order by d.test_id, d.started_at desc;

-- name: failure_counts
-- Failing rows of each test: those that still fail, and all that ever did.
select a.test_id, coalesce(o.failing, 0) as failing, a.failed
from (select test_id, count(*) as failed from ops.data_test_failures group by test_id) as a
left join (
    select test_id, count(*) as failing from ops.data_test_failures where resolved_at is null group by test_id
) as o on o.test_id = a.test_id;

-- name: open_failures
select failure_id, row_data, first_seen, last_seen, resolved_at
from ops.data_test_failures
where test_id = $1 and resolved_at is null
order by first_seen desc, failure_id desc
limit $2;

-- name: resolved_failures
select failure_id, row_data, first_seen, last_seen, resolved_at
from ops.data_test_failures
where test_id = $1 and resolved_at is not null
order by first_seen desc, failure_id desc
limit $2;

-- name: newest_event_hour
-- The hour, because a key begins with it; the minute would be a search through all of its events.
select max(event_hour) as newest from realtime.events;

-- name: newest_minute
select max(window_start) as newest from realtime.metrics;

-- name: newest_hour
select max(window_start) as newest from realtime.metrics_hourly;

-- name: newest_commit
-- Events and both metrics are committed together, so this is when all three were last added to.
select committed_at as newest from realtime.commits where valid > 0 order by committed_at desc limit 1;
