-- The first statements of every connection.

-- name: writer
-- A transaction is one micro-batch, written in a second or so: whatever takes longer by far has
-- met somebody else's lock, a dying disk, or our own end, and is given up and tried again.
set timezone = 'UTC';
set statement_timeout = '60s';
set lock_timeout = '10s';
set idle_in_transaction_session_timeout = '60s';

-- name: reader
set timezone = 'UTC';
set statement_timeout = '30s';
set lock_timeout = '5s';
set idle_in_transaction_session_timeout = '60s';
set default_transaction_read_only = on;

-- name: snapshot
-- Several reads of one moment, which may be long and far apart: `adpipe verify` counts everything.
set timezone = 'UTC';
set statement_timeout = '30min';
set lock_timeout = '5s';
set idle_in_transaction_session_timeout = '30min';
begin transaction isolation level repeatable read read only;
-- The moment is that of the first statement.
select 1;

-- name: durable
-- Whatever the configuration says: this commit is on disk before it is acknowledged.
set synchronous_commit = on;

-- name: sync
-- A commit waits for everything written before it. It must write something itself to wait at all.
set synchronous_commit = on;
select pg_logical_emit_message(true, 'adpipe', 'sync');

-- name: commit_without_sync
-- The server may then lose the last commits when it (not adpipe) crashes. Nothing is counted
-- twice or missed by that: the offsets are lost with the events they belong to, and the records
-- are read from the log again.
set synchronous_commit = off;

-- name: backend
select pg_backend_pid();

-- name: encoding
show server_encoding;

-- name: server
select
    current_setting('server_version_num')::int,
    pg_is_in_recovery(),
    current_setting('transaction_read_only')::boolean;

-- name: incoming_events
-- Holds a batch while the primary key is asked about each of its rows.
create temp table if not exists incoming_events (like realtime.events) on commit delete rows;
