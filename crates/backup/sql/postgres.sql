-- One moment of the server's schemas.

-- name: hold_up
-- Whoever moves an offset, stores an error or notes a retry waits until this transaction ends; those
-- who have begun are waited for. Readers are not held up. Others take these locks in an order of
-- their own: so while one is held, the next is waited for so briefly that all of it is over before
-- the server looks for deadlocks (deadlock_timeout, 1 s) and ends one of theirs.
set local lock_timeout = '5s';
lock table realtime.offsets in share mode;
set local lock_timeout = '200ms';
lock table errors.dlq_errors, errors.retry_history, errors.offsets in share mode;

-- name: export
select pg_export_snapshot() as name;

-- name: parts
select path, bytes, hash from realtime.archive_parts order by path;
