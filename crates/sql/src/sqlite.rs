//! Opening and migrating SQLite files.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior, params};

/// How long a statement waits for another process's lock before it gives up.
pub const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// What must survive when the power fails right after a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Every commit: it is synced before it returns.
    EveryCommit,
    /// Up to some recent commit, never a half one. For what can be rebuilt from the log.
    Consistent,
}

/// Opens a database file, making it when it is missing, in WAL mode so that readers
/// and one writer do not block each other.
///
/// # Errors
/// Whatever SQLite says; [`crate::trouble::Trouble`] sorts it.
pub fn open(path: &Path, durability: Durability) -> rusqlite::Result<Connection> {
    make_private(path);
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_URI,
    )?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    shape_new_file(&connection, "main", DEFAULT_PAGE_BYTES)?;
    set_wal(&connection, "main")?;
    set_durability(&connection, "main", durability)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Has a file be its user's alone before SQLite makes it or those next to it. What goes wrong here goes
/// wrong again when SQLite opens it, which says so better.
pub fn make_private(path: &Path) {
    let _ = crate::private::database(path);
}

/// SQLite's own choice.
const DEFAULT_PAGE_BYTES: u32 = 4_096;

/// Sets what only a new file can be given: its page size, and that freed pages can be handed back
/// to the disk. An existing file is left alone; even asking it would need the write lock.
pub fn shape_new_file(connection: &Connection, schema: &str, page_bytes: u32) -> rusqlite::Result<()> {
    let pages: i64 = connection.pragma_query_value(Some(schema), "page_count", |row| row.get(0))?;
    if pages == 0 {
        connection.pragma_update(Some(schema), "page_size", page_bytes)?;
        connection.pragma_update(Some(schema), "auto_vacuum", "incremental")?;
    }
    Ok(())
}

/// Puts one schema of a connection into WAL mode. Switching needs the file for
/// ourselves for a moment, which the busy handler does not wait for, so we do.
pub fn set_wal(connection: &Connection, schema: &str) -> rusqlite::Result<()> {
    let deadline = std::time::Instant::now() + BUSY_TIMEOUT;
    loop {
        match connection
            .pragma_update_and_check(Some(schema), "journal_mode", "wal", |row| row.get::<_, String>(0))
        {
            Ok(_) => return Ok(()),
            Err(error)
                if crate::trouble::Trouble::of(&error) == crate::trouble::Trouble::Locked
                    && std::time::Instant::now() < deadline =>
            {
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(error) => return Err(error),
        }
    }
}

/// Sets what a commit to one schema of a connection promises.
pub fn set_durability(connection: &Connection, schema: &str, durability: Durability) -> rusqlite::Result<()> {
    let level = match durability {
        Durability::EveryCommit => "full",
        Durability::Consistent => "normal",
    };
    connection.pragma_update(Some(schema), "synchronous", level)
}

/// One step of a schema's history. Never edited once released; a change is a new step.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// 1, 2, 3 …
    pub version: u32,
    /// A few words for `schema_migrations`.
    pub name: &'static str,
    /// The statements. Names are qualified with the schema where it is not `main`.
    pub sql: &'static str,
}

/// Why a database could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// SQLite refused.
    #[error("migration {version} ({name}): {source}")]
    Sqlite {
        /// Schema version that the step leads to.
        version: u32,
        /// What the step does, in a word.
        name: &'static str,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// A newer adpipe wrote this database.
    #[error("it was written by a newer adpipe (schema version {found}, this one knows {known})")]
    TooNew {
        /// Version in the file.
        found: u32,
        /// Newest version that this program knows.
        known: u32,
    },
}

/// Applies the steps that `schema` (`main`, or an attached file) does not have yet, each in its own
/// transaction. Safe when several processes start at once: the first one does the work, the others wait
/// and find it done.
pub fn migrate(connection: &mut Connection, schema: &str, steps: &[Migration]) -> Result<(), MigrateError> {
    let known = steps.last().map_or(0, |step| step.version);
    let first = steps.first().copied().unwrap_or(Migration { version: 0, name: "none", sql: "" });
    let fail = |step: Migration| {
        move |source| MigrateError::Sqlite { version: step.version, name: step.name, source }
    };
    // Checked before anything is locked: if the database is up to date, there is no reason to wait for
    // a writer.
    if is_at(connection, schema, known) {
        return Ok(());
    }
    connection
        .execute_batch(&format!(
            "create table if not exists {schema}.schema_migrations (
                 version    integer primary key,
                 name       text not null,
                 applied_at text not null default (strftime('%Y-%m-%d %H:%M:%f', 'now'))
             )"
        ))
        .map_err(fail(first))?;
    for step in steps {
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fail(*step))?;
        let found: u32 = transaction
            .query_row(
                &format!("select coalesce(max(version), 0) from {schema}.schema_migrations"),
                [],
                |row| row.get(0),
            )
            .map_err(fail(*step))?;
        if found > known {
            return Err(MigrateError::TooNew { found, known });
        }
        if found >= step.version {
            continue;
        }
        transaction.execute_batch(step.sql).map_err(fail(*step))?;
        transaction
            .execute(
                &format!("insert into {schema}.schema_migrations (version, name) values (?1, ?2)"),
                params![step.version, step.name],
            )
            .map_err(fail(*step))?;
        transaction.commit().map_err(fail(*step))?;
    }
    Ok(())
}

fn is_at(connection: &Connection, schema: &str, version: u32) -> bool {
    let newest = format!("select max(version) from {schema}.schema_migrations");
    let found = connection.query_row(&newest, [], |row| row.get::<_, Option<u32>>(0));
    found.is_ok_and(|found| found == Some(version))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: [Migration; 2] = [
        Migration { version: 1, name: "one", sql: "create table t (a)" },
        Migration { version: 2, name: "two", sql: "alter table t add column b" },
    ];

    #[test]
    fn ten_starters_at_once_migrate_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        std::thread::scope(|scope| {
            for _ in 0..10 {
                scope.spawn(|| {
                    migrate(&mut open(&path, Durability::Consistent).unwrap(), "main", &STEPS).unwrap()
                });
            }
        });
        let applied: u32 = open(&path, Durability::Consistent)
            .unwrap()
            .query_row("select count(*) from schema_migrations", [], |row| row.get(0))
            .unwrap();
        assert_eq!(applied, 2);
    }

    #[test]
    fn a_newer_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut connection = open(&folder.path().join("x.db"), Durability::Consistent).unwrap();
        migrate(&mut connection, "main", &STEPS).unwrap();
        let error = migrate(&mut connection, "main", &STEPS[..1]).unwrap_err();
        assert!(error.to_string().contains("newer adpipe"), "{error}");
    }
}
