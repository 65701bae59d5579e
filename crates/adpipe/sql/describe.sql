-- What `\d` of the SQL shell shows.

-- name: tables_sqlite
select 'realtime' as "schema", name, type from realtime.sqlite_schema where type in ('table', 'view')
union all
select 'errors', name, type from errors.sqlite_schema where type in ('table', 'view')
union all
select 'ops', name, type from ops.sqlite_schema where type in ('table', 'view')
union all
select 'analytics', name, type from analytics.sqlite_schema where type in ('table', 'view')
order by 1, 2;

-- name: tables_postgres
-- A partition is a part of its table.
select
    n.nspname::text as "schema",
    c.relname::text as name,
    case when c.relkind in ('v', 'm') then 'view' else 'table' end as type
from pg_catalog.pg_class as c
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'v', 'm', 'f')
    and not c.relispartition
    and n.nspname in ('realtime', 'errors', 'ops', 'analytics', 'archive', 'public')
order by 1, 2;

-- name: columns_sqlite
select m."schema", m.name as "table", c.name as "column", lower(c.type) as type,
    case when c."notnull" > 0 or c.pk > 0 then 'not null' else '' end as "null"
from (
    select 'realtime' as "schema", name from realtime.sqlite_schema where type in ('table', 'view')
    union all
    select 'errors', name from errors.sqlite_schema where type in ('table', 'view')
    union all
    select 'ops', name from ops.sqlite_schema where type in ('table', 'view')
    union all
    select 'analytics', name from analytics.sqlite_schema where type in ('table', 'view')
) as m
join pragma_table_info(m.name, m."schema") as c
where $1 = '' or $1 = m.name or $1 = m."schema" || '.' || m.name
order by m."schema", m.name, c.cid;

-- name: columns_postgres
select
    n.nspname::text as "schema",
    c.relname::text as "table",
    a.attname::text as "column",
    pg_catalog.format_type(a.atttypid, a.atttypmod) as type,
    case when a.attnotnull then 'not null' else '' end as "null"
from pg_catalog.pg_class as c
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
join pg_catalog.pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where c.relkind in ('r', 'p', 'v', 'm', 'f')
    and not c.relispartition
    and n.nspname in ('realtime', 'errors', 'ops', 'analytics', 'archive', 'public')
    and ($1::text = '' or $1::text = c.relname::text or $1::text = n.nspname::text || '.' || c.relname::text)
order by 1, 2, a.attnum;
