-- What the tests of the transformations found (../sqlite/ops_0002.sql).

-- One row for each test of each run.
create table ops.data_tests (
    run_id      text collate "C" not null,
    test_id     text collate "C" not null,   -- dbt's id: test.adpipe.not_null_….1a2b3c4d5e
    name        text             not null,
    kind        text             not null,   -- test, unit_test
    attached    text,                        -- id of the model, seed or source that it stands beside
    column_name text,
    severity    text             not null,   -- error, warn
    status      text             not null,   -- pass, warn, fail, error, skipped
    failures    bigint           not null,
    message     text,
    engine      text             not null,   -- builtin, dbt
    started_at  timestamptz      not null,
    seconds     double precision not null,
    primary key (run_id, test_id)
);

create index data_tests_by_test on ops.data_tests (test_id, started_at);
create index data_tests_by_time on ops.data_tests (started_at);

-- The history of failures: a row for each failing row, from its first sight until it is resolved.
-- Nothing is ever deleted; a row that fails again later gets a new line.
create table ops.data_test_failures (
    failure_id  bigint generated always as identity primary key,
    test_id     text collate "C" not null,
    row_key     text collate "C" not null,   -- MD5 of row_data, and which of several equal rows it is
    row_data    text             not null,   -- the row as JSON
    first_run   text collate "C" not null,
    first_seen  timestamptz      not null,
    last_run    text collate "C" not null,
    last_seen   timestamptz      not null,
    resolved_at timestamptz                  -- when a run no longer found it; null while it fails
);

create unique index data_test_failures_open on ops.data_test_failures (test_id, row_key) where resolved_at is null;
create index data_test_failures_by_time on ops.data_test_failures (test_id, first_seen);
