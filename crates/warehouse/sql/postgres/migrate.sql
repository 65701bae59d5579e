-- name: version
-- Null when there is no history yet. The table may not exist, so it is asked for by name first.
select to_regclass('ops.schema_migrations') is not null;

-- name: newest
select coalesce(max(version), 0) from ops.schema_migrations;

-- name: lock
-- Held until the transaction ends: of several processes that start at once, the first one works
-- and the others wait and find it done. The number is "adpipe" in ASCII.
select pg_advisory_xact_lock(107084010582117);

-- name: make_history
do $$
begin
    if to_regnamespace('ops') is null then
        create schema ops;
    end if;
end
$$;
create table if not exists ops.schema_migrations (
    version    integer primary key,
    name       text not null,
    applied_at timestamptz not null default now()
);

-- name: note
insert into ops.schema_migrations (version, name) values ($1, $2);
