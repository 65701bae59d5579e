-- What is in the database.

-- name: relations
select name, type as kind from analytics.sqlite_master where type in ('table', 'view') and name not like 'sqlite_%';

-- name: columns
-- Name and declared type; what has none counts as UNKNOWN, as in dbt-sqlite.
select name, coalesce(nullif(type, ''), 'UNKNOWN') as data_type, coalesce(nullif(type, ''), 'UNKNOWN') as bare_type
from pragma_table_info($2, $1);

-- name: all_columns
select m.name as table_name, c.name as name, c.type as data_type
from analytics.sqlite_master as m, pragma_table_info(m.name, 'analytics') as c
where m.type in ('table', 'view')
order by m.name, c.cid;
