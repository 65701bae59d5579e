//! Where and how a project is run.

use adpipe_warehouse::Dialect;

use crate::jinja::TargetInfo;

/// The schema to which everything is written.
pub(crate) const SCHEMA: &str = "analytics";

/// What the project's templates know, and how much runs at the same time.
#[derive(Debug, Clone)]
pub struct Target {
    /// Which SQL.
    pub dialect: Dialect,
    /// `target.name`; empty for that of the database, `sqlite` or `postgres`.
    pub name: String,
    /// Models made at once, where the database allows.
    pub threads: usize,
    /// Whether incremental models are made again.
    pub full_refresh: bool,
}

impl Target {
    /// The usual one of a database.
    pub fn new(dialect: Dialect) -> Target {
        Target { dialect, name: String::new(), threads: 4, full_refresh: false }
    }

    /// `target.type`: `sqlite` or `postgres`.
    pub fn kind(&self) -> &'static str {
        match self.dialect {
            Dialect::Sqlite => "sqlite",
            Dialect::Postgres => "postgres",
        }
    }

    /// How many write at once: SQLite has one writer.
    pub(crate) fn workers(&self) -> usize {
        match self.dialect {
            Dialect::Sqlite => 1,
            Dialect::Postgres => self.threads.max(1),
        }
    }

    pub(crate) fn info(&self) -> TargetInfo {
        let name = if self.name.is_empty() { self.kind() } else { &self.name };
        TargetInfo {
            name: name.to_owned(),
            kind: self.kind(),
            schema: SCHEMA.to_owned(),
            threads: self.workers(),
            project: "project".to_owned(),
            full_refresh: self.full_refresh,
        }
    }
}
