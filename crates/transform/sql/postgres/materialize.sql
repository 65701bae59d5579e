-- How models get into place. Words in braces are filled in: names are quoted, {sql} is the model.
-- Each runs within one transaction, so that readers see the old model until they see the new one.

-- name: create_table
create table {new} as (
{sql}
);

-- name: create_by_contract
create table {new} ({columns});
insert into {new} ({names})
select {names}
from (
{sql}
) as model_subq;

-- name: shape
-- The columns that a statement gives, as a table without rows.
create temporary table {new} on commit drop as
select * from (
{sql}
) as shape where false limit 0;

-- name: create_view
create view {target} as (
{sql}
);

-- name: replace_view
create or replace view {target} as (
{sql}
);

-- name: drop_table
drop table if exists {target} cascade;

-- name: drop_view
drop view if exists {target} cascade;

-- name: drop_materialized_view
drop materialized view if exists {target} cascade;

-- name: rename
alter table {new} rename to {name};

-- name: replace_rows
-- Views stand upon the table: it stays, and gets other rows.
delete from {target};
insert into {target} ({names}) select {names} from {new};
drop table {new};

-- name: stage
create temporary table {new} on commit drop as (
{sql}
);

-- name: delete_keys
delete from {target} where ({keys}) in (select distinct {keys} from {new});

-- name: append
insert into {target} ({names}) select {names} from {new};

-- name: comment
comment on {kind} {target} is {text};
