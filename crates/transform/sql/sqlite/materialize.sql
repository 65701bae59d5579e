-- How models get into place. Words in braces are filled in: names are quoted, {sql} is the model.
-- Each runs within one transaction, so that readers see the old model until they see the new one.

-- name: create_table
create table {target} as
{sql};

-- name: create_view
create view {target} as
{sql};

-- name: drop_table
drop table if exists {target};

-- name: drop_view
drop view if exists {target};

-- name: shape
-- The columns that a statement gives, as a table without rows.
create temporary table {new} as
select * from (
{sql}
) as shape where false limit 0;

-- name: stage
create temporary table {new} as
{sql};

-- name: delete_keys
delete from {target} where ({keys}) in (select {keys} from {new});

-- name: append
insert into {target} ({names}) select {names} from {new};

-- name: drop_stage
drop table {new};
