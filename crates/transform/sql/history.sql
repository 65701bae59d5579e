-- Keeping what tests found; both databases understand it.

-- name: add_result
insert into ops.data_tests (
    run_id, test_id, name, kind, attached, column_name, severity, status, failures, message, engine, started_at, seconds
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13);

-- name: open_failures
select failure_id, row_key from ops.data_test_failures where test_id = $1 and resolved_at is null;

-- name: seen_again
update ops.data_test_failures set last_run = $2, last_seen = $3 where failure_id = $1;

-- name: seen_first
insert into ops.data_test_failures (test_id, row_key, row_data, first_run, first_seen, last_run, last_seen)
values ($1, $2, $3, $4, $5, $4, $5);

-- name: resolved
update ops.data_test_failures set resolved_at = $2 where failure_id = $1;

-- name: failing_tests
select distinct test_id from ops.data_test_failures where resolved_at is null;

-- name: resolved_all
update ops.data_test_failures set resolved_at = $2 where test_id = $1 and resolved_at is null;

-- name: newest_results
-- The newest result of each test.
select d.test_id, d.status, d.failures, d.message, d.started_at, d.engine, d.severity
from ops.data_tests as d
join (
    select test_id, max(started_at) as started_at from ops.data_tests where status <> 'skipped' group by test_id
) as newest
    on newest.test_id = d.test_id and newest.started_at = d.started_at;
