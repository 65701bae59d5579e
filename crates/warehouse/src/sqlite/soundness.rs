//! Whether the files themselves are sound: every page, every index against its rows, and the
//! definitions of the tables.

use std::collections::BTreeMap;

use adpipe_sql::sqlite::{Migration, migrate};
use rusqlite::{Connection, params};

use super::{in_memory, migrations};
use crate::Schema;

/// Damages named, for each file.
const MOST_DAMAGES: usize = 10;

/// What is wrong with a schema's file, in words; nothing when it is sound.
pub(super) fn check(connection: &Connection, schema: Schema) -> rusqlite::Result<Vec<String>> {
    let mut damages = Vec::new();
    let pragma = format!("pragma {}.integrity_check({MOST_DAMAGES})", schema.name());
    let mut statement = connection.prepare(&pragma)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let verdict: String = row.get(0)?;
        if verdict != "ok" {
            damages.push(verdict);
        }
    }
    damages.extend(changed_definitions(connection, schema)?);
    Ok(damages)
}

/// Type and name of a table, an index or a view, and the statement that made it: as bytes, since what
/// is damaged need not be text.
type Definitions = BTreeMap<(String, String), Option<Vec<u8>>>;

/// A damaged definition may still be read, and mean something else: a check that is gone, a column
/// that is called otherwise.
pub(super) fn changed_definitions(connection: &Connection, schema: Schema) -> rusqlite::Result<Vec<String>> {
    let history = migrations(schema);
    if history.is_empty() {
        return Ok(Vec::new());
    }
    let mut fresh = in_memory()?;
    fresh.execute(&format!("attach ':memory:' as {}", schema.name()), [])?;
    migrate(&mut fresh, schema.name(), history)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
    let (wanted, found) = (definitions(&fresh, schema)?, definitions(connection, schema)?);
    let mut damages: Vec<String> = wanted
        .iter()
        .filter(|(name, sql)| found.get(*name) != Some(*sql))
        .map(|((kind, name), _)| format!("the definition of {kind} {name} is not what adpipe created"))
        .collect();
    for Migration { version, name, .. } in history {
        let sql = format!(
            "select exists (select 1 from {}.schema_migrations where version = ?1 and name = ?2)",
            schema.name()
        );
        if !connection.query_row(&sql, params![version, name], |row| row.get::<_, bool>(0))? {
            damages.push(format!("schema_migrations does not have version {version}, {name}"));
        }
    }
    damages.truncate(MOST_DAMAGES);
    Ok(damages)
}

fn definitions(connection: &Connection, schema: Schema) -> rusqlite::Result<Definitions> {
    let sql = format!(
        "select cast(type as blob), cast(name as blob), cast(tbl_name as blob), cast(sql as blob)
         from {}.sqlite_master",
        schema.name()
    );
    let mut statement = connection.prepare(&sql)?;
    let rows = statement.query_map([], |row| {
        let text = |index: usize| {
            let bytes: Option<Vec<u8>> = row.get(index)?;
            Ok::<_, rusqlite::Error>(String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned())
        };
        Ok(((text(0)?, format!("{}.{}", text(2)?, text(1)?)), row.get(3)?))
    })?;
    rows.collect()
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use crate::sqlite::SqliteWarehouse;
    use crate::{Schema, Warehouse, WarehouseError, WarehouseRead};

    /// A flipped bit in a column's name gave SQLite's words for a wrong statement, over many lines,
    /// and no advice.
    #[test]
    fn a_statement_that_meets_a_changed_table_tells_of_damage() {
        let folder = tempfile::tempdir().unwrap();
        drop(SqliteWarehouse::open(folder.path()).unwrap());
        let connection = Connection::open(folder.path().join("realtime.db")).unwrap();
        connection
            .execute_batch(
                "pragma writable_schema = on;
                 update sqlite_schema set sql = replace(sql, 'next_offset', 'next_offseu')
                 where name = 'offsets';",
            )
            .unwrap();
        drop(connection);
        let warehouse = SqliteWarehouse::open(folder.path()).unwrap();
        let error = warehouse.offsets("ad_events_raw").unwrap_err();
        assert!(matches!(error, WarehouseError::Unusable { .. }), "{error}");
        let told = error.to_string();
        assert!(
            told.contains("realtime.db") && told.contains("offsets") && told.contains("restore"),
            "{told}"
        );
    }

    #[test]
    fn a_wrong_statement_is_no_damage() {
        let folder = tempfile::tempdir().unwrap();
        let warehouse = SqliteWarehouse::open(folder.path()).unwrap();
        let error =
            warehouse.session(Schema::Ops).unwrap().begin().unwrap().query("select x", &[]).unwrap_err();
        assert!(matches!(error, WarehouseError::Statement(_)), "{error}");
    }
}
