-- One moment of the server's schemas.

-- name: hold_up
-- Whoever moves an offset, stores an error or notes a retry waits until this transaction ends; those
-- who have begun are waited for. Readers are not held up.
set local lock_timeout = '60s';
lock table realtime.offsets, errors.dlq_errors, errors.retry_history, errors.offsets in share mode;

-- name: export
select pg_export_snapshot();

-- name: parts
select path, bytes from realtime.archive_parts order by path;
