//! Puts a model into place: readers see the old one until they see the new one.

use adpipe_sql::section;
use adpipe_warehouse::{Dialect, WarehouseError};

use crate::compile::Step;
use crate::database::{Both, DatabaseColumn, Kind, Work, fill};
use crate::jinja::relation::{Relation, literal, quoted};
use crate::project::nodes::{Column, Model};
use crate::project::settings::TableConfig;
use crate::project::{Materialized, Node};

const POSTGRES: &str = include_str!("../../sql/postgres/materialize.sql");
const SQLITE: &str = include_str!("../../sql/sqlite/materialize.sql");

const fn both(name: &str) -> Both {
    Both { sqlite: section(SQLITE, name), postgres: section(POSTGRES, name) }
}

const CREATE_TABLE: Both = both("create_table");
const CREATE_VIEW: Both = both("create_view");
const DROP_TABLE: Both = both("drop_table");
const DROP_VIEW: Both = both("drop_view");
const SHAPE: Both = both("shape");
const STAGE: Both = both("stage");
const DELETE_KEYS: Both = both("delete_keys");
const APPEND: Both = both("append");
const DROP_STAGE: &str = section(SQLITE, "drop_stage");
const DROP_MATERIALIZED_VIEW: &str = section(POSTGRES, "drop_materialized_view");
const CREATE_BY_CONTRACT: &str = section(POSTGRES, "create_by_contract");
const REPLACE_VIEW: &str = section(POSTGRES, "replace_view");
const REPLACE_ROWS: &str = section(POSTGRES, "replace_rows");
const RENAME: &str = section(POSTGRES, "rename");
const COMMENT: &str = section(POSTGRES, "comment");

/// Why a model was not made: what the database says, or what the model breaks.
#[derive(Debug)]
pub(crate) enum Failure {
    Database(WarehouseError),
    Broken(String),
}

impl From<WarehouseError> for Failure {
    fn from(error: WarehouseError) -> Failure {
        Failure::Database(error)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Database(error) => error.fmt(f),
            Failure::Broken(message) => f.write_str(message),
        }
    }
}

/// Makes a model within the transaction.
pub(crate) fn make(work: &mut Work<'_>, node: &Node, model: &Model, step: &Step) -> Result<(), Failure> {
    let target = &model.relation;
    let by_contract =
        if model.config.contract { Some(check_contract(work, model, &step.sql)?) } else { None };
    match model.config.materialized {
        Materialized::View => make_view(work, target, &step.sql)?,
        Materialized::Incremental if step.is_incremental => add_rows(work, model, &step.sql)?,
        _ => make_table(work, target, &step.sql, by_contract.as_deref())?,
    }
    document(work, &model.config, target, &node.description, &model.columns)
}

/// Makes a table of a statement's rows, in place of whatever is there.
pub(crate) fn make_table(
    work: &mut Work<'_>,
    target: &Relation,
    sql: &str,
    contract: Option<&[ContractColumn]>,
) -> Result<(), Failure> {
    let dialect = work.dialect;
    let target_sql = target.to_string();
    if dialect == Dialect::Sqlite {
        drop_whatever_is_there(work, target)?;
        let create = fill(CREATE_TABLE.of(dialect), &[("target", &target_sql), ("sql", sql)]);
        return Ok(work.script(&create)?);
    }
    let new = beside(target);
    let new_sql = new.to_string();
    let create = match contract {
        None => fill(CREATE_TABLE.of(dialect), &[("new", &new_sql), ("sql", sql)]),
        Some(columns) => {
            let names: Vec<String> = columns.iter().map(|column| quoted(&column.name)).collect();
            let typed: Vec<String> = columns.iter().map(ContractColumn::definition).collect();
            let words = [
                ("new", new_sql.as_str()),
                ("columns", &typed.join(", ")),
                ("names", &names.join(", ")),
                ("sql", sql),
            ];
            fill(CREATE_BY_CONTRACT, &words)
        }
    };
    work.script(&create)?;
    put_in_place(work, target, &new)
}

/// Swaps a new table in under its name.
pub(crate) fn put_in_place(work: &mut Work<'_>, target: &Relation, new: &Relation) -> Result<(), Failure> {
    let (target_sql, new_sql) = (target.to_string(), new.to_string());
    let dependents = work.dependents(target)?;
    if !dependents.is_empty() && work.kind(target)? == Some(Kind::Table) {
        let columns = work.columns(new)?;
        if columns == work.columns(target)? {
            let names: Vec<String> = columns.iter().map(|column| quoted(&column.name)).collect();
            let words = [("target", target_sql.as_str()), ("new", &new_sql), ("names", &names.join(", "))];
            return Ok(work.script(&fill(REPLACE_ROWS, &words))?);
        }
    }
    drop_whatever_is_there(work, target)?;
    work.script(&fill(RENAME, &[("new", &new_sql), ("name", &quoted(&target.name))]))?;
    make_views_again(work, &dependents)
}

/// Views that fell with the table they read from. One that does not fit the new table stays away,
/// as with dbt, where all of them do.
fn make_views_again(work: &mut Work<'_>, views: &[(String, Kind, String)]) -> Result<(), Failure> {
    for (name, kind, definition) in views {
        let words = if *kind == Kind::MaterializedView { "materialized view" } else { "view" };
        work.script("savepoint view_again")?;
        match work.script(&format!("create {words} {name} as {definition}")) {
            Ok(()) => work.script("release savepoint view_again")?,
            Err(WarehouseError::Statement(reason)) => {
                work.script("rollback to savepoint view_again")?;
                tracing::warn!(view = name, reason, "the view does not fit the new table and was dropped");
            }
            Err(other) => return Err(other.into()),
        }
    }
    Ok(())
}

fn make_view(work: &mut Work<'_>, target: &Relation, sql: &str) -> Result<(), Failure> {
    let dialect = work.dialect;
    let target_sql = target.to_string();
    let words = [("target", target_sql.as_str()), ("sql", sql)];
    let create = fill(CREATE_VIEW.of(dialect), &words);
    if dialect == Dialect::Sqlite {
        drop_whatever_is_there(work, target)?;
        return Ok(work.script(&create)?);
    }
    if work.kind(target)? == Some(Kind::View) {
        // Keeps rights that were granted, and objects that depend on it.
        work.script("savepoint replacing")?;
        match work.script(&fill(REPLACE_VIEW, &words)) {
            Ok(()) => return Ok(work.script("release savepoint replacing")?),
            Err(WarehouseError::Statement(_)) => work.script("rollback to savepoint replacing")?,
            Err(other) => return Err(other.into()),
        }
    }
    let dependents = work.dependents(target)?;
    drop_whatever_is_there(work, target)?;
    work.script(&create)?;
    make_views_again(work, &dependents)
}

fn drop_whatever_is_there(work: &mut Work<'_>, target: &Relation) -> Result<(), Failure> {
    let statement = match work.kind(target)? {
        None => return Ok(()),
        Some(Kind::Table) => DROP_TABLE.of(work.dialect),
        Some(Kind::View) => DROP_VIEW.of(work.dialect),
        Some(Kind::MaterializedView) => DROP_MATERIALIZED_VIEW,
    };
    Ok(work.script(&fill(statement, &[("target", &target.to_string())]))?)
}

/// Adds an incremental model's new rows, in place of those with the same key.
fn add_rows(work: &mut Work<'_>, model: &Model, sql: &str) -> Result<(), Failure> {
    let dialect = work.dialect;
    let target = &model.relation;
    let stage = temporary(dialect, &format!("{}__adpipe_stage", target.name));
    let (stage_sql, target_sql) = (written(&stage), target.to_string());
    work.script(&fill(STAGE.of(dialect), &[("new", &stage_sql), ("sql", sql)]))?;
    let there = work.columns(target)?;
    if model.config.fail_on_schema_change {
        let new = work.columns(&stage)?;
        check_same_columns(&new, &there)?;
    }
    let names: Vec<String> = there.iter().map(|column| quoted(&column.name)).collect();
    let names = names.join(", ");
    if !model.config.unique_key.is_empty() {
        let keys = model.config.unique_key.join(", ");
        let words = [("target", target_sql.as_str()), ("new", &stage_sql), ("keys", &keys)];
        work.script(&fill(DELETE_KEYS.of(dialect), &words))?;
    }
    let words = [("target", target_sql.as_str()), ("new", &stage_sql), ("names", &names)];
    work.script(&fill(APPEND.of(dialect), &words))?;
    match dialect {
        Dialect::Sqlite => Ok(work.script(&fill(DROP_STAGE, &[("new", &stage_sql)]))?),
        Dialect::Postgres => Ok(()),
    }
}

fn check_same_columns(new: &[DatabaseColumn], there: &[DatabaseColumn]) -> Result<(), Failure> {
    let names = |columns: &[DatabaseColumn]| {
        let mut names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
        names.sort();
        names
    };
    let (new, there) = (names(new), names(there));
    if new == there {
        Ok(())
    } else {
        Err(Failure::Broken(format!(
            "the model's columns ({}) are not those of its table ({}), and on_schema_change is fail; run with --full-refresh",
            new.join(", "),
            there.join(", ")
        )))
    }
}

/// A column as a contract requires it.
#[derive(Debug)]
pub(crate) struct ContractColumn {
    name: String,
    data_type: String,
    not_null: bool,
}

impl ContractColumn {
    fn definition(&self) -> String {
        let not_null = if self.not_null { " not null" } else { "" };
        format!("{} {}{not_null}", quoted(&self.name), self.data_type)
    }
}

/// Compares the columns that the statement gives with those that the contract promises: names on
/// both databases, types on PostgreSQL, as SQLite's have none.
fn check_contract(work: &mut Work<'_>, model: &Model, sql: &str) -> Result<Vec<ContractColumn>, Failure> {
    let promised: Vec<ContractColumn> = model
        .columns
        .iter()
        .map(|column| ContractColumn {
            name: column.name.clone(),
            data_type: column.data_type.clone().unwrap_or_default(),
            not_null: column.not_null,
        })
        .collect();
    let given = shape(work, &model.relation.name, sql)?;
    let mut wrong = Vec::new();
    for column in &given {
        if !promised.iter().any(|promise| promise.name.eq_ignore_ascii_case(&column.name)) {
            wrong.push(format!("{} is given and not promised", column.name));
        }
    }
    let types = match work.dialect {
        Dialect::Sqlite => Vec::new(),
        Dialect::Postgres => {
            let casts = promised
                .iter()
                .map(|column| format!("cast(null as {}) as {}", column.data_type, quoted(&column.name)));
            let casts = format!("select {}", casts.collect::<Vec<_>>().join(", "));
            shape(work, &format!("{}__types", model.relation.name), &casts)?
        }
    };
    for (index, promise) in promised.iter().enumerate() {
        match given.iter().find(|column| promise.name.eq_ignore_ascii_case(&column.name)) {
            None => wrong.push(format!("{} is promised and not given", promise.name)),
            Some(column) => {
                if let Some(wanted) = types.get(index).filter(|wanted| wanted.bare_type != column.bare_type) {
                    wrong.push(format!(
                        "{} is {} where {} is promised",
                        column.name, column.bare_type, wanted.bare_type
                    ));
                }
            }
        }
    }
    if wrong.is_empty() {
        Ok(promised)
    } else {
        Err(Failure::Broken(format!("the model breaks its contract: {}", wrong.join("; "))))
    }
}

/// The columns that a statement gives.
pub(crate) fn shape(work: &mut Work<'_>, name: &str, sql: &str) -> Result<Vec<DatabaseColumn>, Failure> {
    let dialect = work.dialect;
    let relation = temporary(dialect, &format!("{name}__adpipe_shape"));
    work.script(&fill(SHAPE.of(dialect), &[("new", &written(&relation)), ("sql", sql)]))?;
    let columns = work.columns(&relation)?;
    if dialect == Dialect::Sqlite {
        work.script(&fill(DROP_STAGE, &[("new", &written(&relation))]))?;
    }
    Ok(columns)
}

fn temporary(dialect: Dialect, name: &str) -> Relation {
    let schema = if dialect == Dialect::Sqlite { "temp" } else { "pg_temp" };
    Relation::new(schema, &shortened(name))
}

/// A temporary table's name where it is made: it says that it is temporary, and PostgreSQL allows no
/// schema then.
fn written(relation: &Relation) -> String {
    quoted(&relation.name)
}

/// The new table, under a temporary name until it is complete.
pub(crate) fn beside(target: &Relation) -> Relation {
    Relation::new(&target.schema, &shortened(&format!("{}__adpipe_new", target.name)))
}

/// PostgreSQL cuts names at 63 bytes.
fn shortened(name: &str) -> String {
    if name.len() > 63 { format!("adpipe_{}", crate::project::names::md5_hex(name)) } else { name.to_owned() }
}

/// Descriptions as comments in the database, where they are asked for.
pub(crate) fn document(
    work: &mut Work<'_>,
    config: &TableConfig,
    target: &Relation,
    description: &str,
    columns: &[Column],
) -> Result<(), Failure> {
    if work.dialect == Dialect::Sqlite {
        return Ok(());
    }
    if config.persist_relation && !description.is_empty() {
        let kind = match work.kind(target)? {
            Some(Kind::View) => "view",
            _ => "table",
        };
        let words = [("kind", kind), ("target", &target.to_string()), ("text", &literal(description))];
        work.script(&fill(COMMENT, &words))?;
    }
    if config.persist_columns {
        let there = work.columns(target)?;
        for column in columns.iter().filter(|column| !column.description.is_empty()) {
            if there.iter().any(|known| known.name == column.name) {
                let place = format!("{target}.{}", quoted(&column.name));
                let words =
                    [("kind", "column"), ("target", &place), ("text", &literal(column.description.trim()))];
                work.script(&fill(COMMENT, &words))?;
            }
        }
    }
    Ok(())
}
