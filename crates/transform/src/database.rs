//! What both databases can be asked.

use std::collections::BTreeMap;

use adpipe_sql::section;
use adpipe_warehouse::{
    Dialect, FromRow, Row, Table, Transaction, Value, Warehouse, WarehouseError, query_table,
};

use crate::error::Result;
use crate::jinja::relation::Relation;
use crate::target::SCHEMA;

const POSTGRES: &str = include_str!("../sql/postgres/catalog.sql");
const SQLITE: &str = include_str!("../sql/sqlite/catalog.sql");

const RELATIONS: Both =
    Both { sqlite: section(SQLITE, "relations"), postgres: section(POSTGRES, "relations") };
const COLUMNS: Both = Both { sqlite: section(SQLITE, "columns"), postgres: section(POSTGRES, "columns") };
const ALL_COLUMNS: Both =
    Both { sqlite: section(SQLITE, "all_columns"), postgres: section(POSTGRES, "all_columns") };
const DEPENDENTS: &str = section(POSTGRES, "dependents");
const SET_TIMEOUTS: &str = section(POSTGRES, "patience");
pub(crate) const TRY_LOCK: &str = section(POSTGRES, "try_lock");
pub(crate) const UNLOCK: &str = section(POSTGRES, "unlock");

/// A statement that differs.
pub(crate) struct Both {
    pub sqlite: &'static str,
    pub postgres: &'static str,
}

impl Both {
    pub fn of(&self, dialect: Dialect) -> &'static str {
        match dialect {
            Dialect::Sqlite => self.sqlite,
            Dialect::Postgres => self.postgres,
        }
    }
}

/// What exists under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Table,
    View,
    MaterializedView,
}

impl Kind {
    fn of(text: &str) -> Kind {
        match text {
            "view" | "v" => Kind::View,
            "m" => Kind::MaterializedView,
            _ => Kind::Table,
        }
    }
}

/// What the schema of the transformations holds.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    relations: BTreeMap<String, Kind>,
}

impl Catalog {
    /// Looks it up.
    pub fn read(warehouse: &dyn Warehouse) -> Result<Catalog> {
        let dialect = warehouse.dialect();
        let found = query_table(warehouse, RELATIONS.of(dialect), &schema_parameter(dialect))?;
        let mut relations = BTreeMap::new();
        for row in found.iter() {
            relations.insert(row.get("name")?, Kind::of(row.get("kind")?));
        }
        Ok(Catalog { relations })
    }

    /// Whether anything exists under this name.
    pub fn has(&self, relation: &Relation) -> bool {
        self.relations.contains_key(&relation.name)
    }

    /// Whether this is a table.
    pub fn is_table(&self, relation: &Relation) -> bool {
        self.relations.get(&relation.name) == Some(&Kind::Table)
    }
}

fn schema_parameter(dialect: Dialect) -> Vec<Value> {
    match dialect {
        Dialect::Sqlite => Vec::new(),
        Dialect::Postgres => vec![Value::from(SCHEMA)],
    }
}

/// Columns of everything in the schema: table, column, type.
pub(crate) fn all_columns(warehouse: &dyn Warehouse) -> Result<BTreeMap<String, Vec<(String, String)>>> {
    let dialect = warehouse.dialect();
    let found = query_table(warehouse, ALL_COLUMNS.of(dialect), &schema_parameter(dialect))?;
    let mut columns: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for row in found.iter() {
        let (table, name) = (row.get("table_name")?, row.get("name")?);
        columns.entry(table).or_default().push((name, row.get("data_type")?));
    }
    Ok(columns)
}

/// A column as the database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DatabaseColumn {
    pub name: String,
    /// As one writes it.
    pub data_type: String,
    /// Without its size.
    pub bare_type: String,
}

impl FromRow for DatabaseColumn {
    fn from_row(row: &Row<'_>) -> std::result::Result<DatabaseColumn, WarehouseError> {
        Ok(DatabaseColumn {
            name: row.get("name")?,
            data_type: row.get("data_type")?,
            bare_type: row.get("bare_type")?,
        })
    }
}

/// A transaction with what its database needs to know.
pub(crate) struct Work<'t> {
    pub transaction: Box<dyn Transaction + 't>,
    pub dialect: Dialect,
}

impl Work<'_> {
    /// Lets statements take their time.
    pub fn be_patient(&mut self) -> Result<(), WarehouseError> {
        match self.dialect {
            Dialect::Sqlite => Ok(()),
            Dialect::Postgres => self.transaction.script(SET_TIMEOUTS),
        }
    }

    pub fn script(&mut self, sql: &str) -> Result<(), WarehouseError> {
        self.transaction.script(sql)
    }

    pub fn query(&mut self, sql: &str, params: &[Value]) -> Result<Table, WarehouseError> {
        self.transaction.query(sql, params)
    }

    /// The columns of a table or view; none when it is not there.
    pub fn columns(&mut self, relation: &Relation) -> Result<Vec<DatabaseColumn>, WarehouseError> {
        let params = match self.dialect {
            Dialect::Sqlite => {
                vec![Value::from(relation.schema.as_str()), Value::from(relation.name.as_str())]
            }
            Dialect::Postgres => vec![Value::from(relation.to_string())],
        };
        let found = self.query(COLUMNS.of(self.dialect), &params)?;
        found.read()
    }

    /// What exists under a name.
    pub fn kind(&mut self, relation: &Relation) -> Result<Option<Kind>, WarehouseError> {
        let sql = match self.dialect {
            Dialect::Sqlite => RELATIONS.sqlite,
            Dialect::Postgres => RELATIONS.postgres,
        };
        let found = self.query(sql, &schema_parameter(self.dialect))?;
        for row in found.iter() {
            if row.get::<&str>("name")? == relation.name {
                return row.get("kind").map(|kind| Some(Kind::of(kind)));
            }
        }
        Ok(None)
    }

    /// Views that read from this, nearest first: name, kind, definition. SQLite's refer by name only.
    pub fn dependents(&mut self, relation: &Relation) -> Result<Vec<(String, Kind, String)>, WarehouseError> {
        if self.dialect == Dialect::Sqlite {
            return Ok(Vec::new());
        }
        let found = self.query(DEPENDENTS, &[Value::from(relation.to_string())])?;
        let view = |row: Row<'_>| Ok((row.get("name")?, Kind::of(row.get("kind")?), row.get("definition")?));
        found.iter().map(view).collect()
    }

    pub fn commit(self) -> Result<(), WarehouseError> {
        self.transaction.commit()
    }
}

/// A statement's template with its words in braces filled in.
pub(crate) fn fill(template: &str, words: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    // One pass: what is filled in may hold braces itself.
    while let Some(start) = rest.find('{') {
        let word = rest[start + 1..].split('}').next().unwrap_or_default();
        match words.iter().find(|(name, _)| *name == word) {
            Some((_, value)) => {
                out.push_str(&rest[..start]);
                out.push_str(value);
                rest = &rest[start + word.len() + 2..];
            }
            None => {
                out.push_str(&rest[..=start]);
                rest = &rest[start + 1..];
            }
        }
    }
    out.push_str(rest);
    out
}
