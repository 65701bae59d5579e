-- What is in the database.

-- name: relations
select c.relname::text as name, c.relkind::text as kind
from pg_class as c
join pg_namespace as n on n.oid = c.relnamespace
where n.nspname = $1 and c.relkind in ('r', 'p', 'v', 'm', 'f');

-- name: columns
-- Name, type as one writes it, type without its size.
select a.attname::text as name, format_type(a.atttypid, a.atttypmod) as data_type,
       format_type(a.atttypid, null) as bare_type
from pg_attribute as a
where a.attrelid = to_regclass($1) and a.attnum > 0 and not a.attisdropped
order by a.attnum;

-- name: all_columns
select c.relname::text as table_name, a.attname::text as name, format_type(a.atttypid, a.atttypmod) as data_type
from pg_attribute as a
join pg_class as c on c.oid = a.attrelid
join pg_namespace as n on n.oid = c.relnamespace
where n.nspname = $1 and c.relkind in ('r', 'p', 'v', 'm', 'f') and a.attnum > 0 and not a.attisdropped
order by c.relname, a.attnum;

-- name: dependents
-- Views that read from a table or view, also by way of others; nearest first.
with recursive dependents (oid, depth) as (
    select r.ev_class, 1
    from pg_depend as d
    join pg_rewrite as r on r.oid = d.objid
    where d.classid = 'pg_rewrite'::regclass
      and d.refclassid = 'pg_class'::regclass
      and d.refobjid = to_regclass($1)
      and r.ev_class <> d.refobjid
    union
    select r.ev_class, dependents.depth + 1
    from dependents
    join pg_depend as d on d.refobjid = dependents.oid
    join pg_rewrite as r on r.oid = d.objid
    where d.classid = 'pg_rewrite'::regclass
      and d.refclassid = 'pg_class'::regclass
      and r.ev_class <> d.refobjid
      and dependents.depth < 50
)
select format('%I.%I', n.nspname, c.relname) as name, c.relkind::text as kind, pg_get_viewdef(c.oid) as definition
from dependents
join pg_class as c on c.oid = dependents.oid
join pg_namespace as n on n.oid = c.relnamespace
group by c.oid, n.nspname, c.relname, c.relkind
order by max(dependents.depth), 1;

-- name: is_there
select to_regclass($1) is not null, coalesce((select relkind::text from pg_class where oid = to_regclass($1)), '');

-- name: patience
-- A session gives up after a minute, which is meant for micro-batches; a model may take longer.
set local statement_timeout = '1h';
set local lock_timeout = '60s';

-- name: try_lock
-- One transformation at a time on a database: held until the session ends, however it ends.
select pg_try_advisory_lock(hashtext('adpipe transform'), hashtext(current_database())) as is_ours;

-- name: unlock
select pg_advisory_unlock(hashtext('adpipe transform'), hashtext(current_database())) as is_ours;
