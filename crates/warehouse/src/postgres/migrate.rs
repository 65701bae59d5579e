//! Bringing the schemas up to date.

use adpipe_sql::section;
use postgres::{Client, Error};

use super::failure::failure;
use super::settings::PostgresSettings;
use crate::WarehouseError;

const MIGRATE_SQL: &str = include_str!("../../sql/postgres/migrate.sql");
const HAS_HISTORY: &str = section(MIGRATE_SQL, "version");
const NEWEST: &str = section(MIGRATE_SQL, "newest");
const LOCK: &str = section(MIGRATE_SQL, "lock");
const MAKE_HISTORY: &str = section(MIGRATE_SQL, "make_history");
const NOTE: &str = section(MIGRATE_SQL, "note");

/// One step of the history. Never edited once released; a change is a new step.
struct Step {
    version: i32,
    name: &'static str,
    sql: &'static str,
}

const STEPS: &[Step] = &[
    Step {
        version: 1,
        name: "events, metrics, offsets, commits",
        sql: include_str!("../../sql/postgres/0001_schemas.sql"),
    },
    Step {
        version: 2,
        name: "the dead-letter queue",
        sql: include_str!("../../sql/postgres/0002_errors.sql"),
    },
    Step { version: 3, name: "scheduler, runs", sql: include_str!("../../sql/postgres/0003_runs.sql") },
    Step { version: 4, name: "data tests", sql: include_str!("../../sql/postgres/0004_data_tests.sql") },
    Step { version: 5, name: "archive, raw files", sql: include_str!("../../sql/postgres/0005_archive.sql") },
    Step { version: 6, name: "monitoring", sql: include_str!("../../sql/postgres/0006_monitoring.sql") },
    Step {
        version: 7,
        name: "hashes of archive parts, runs of batch, errors of type archive",
        sql: include_str!("../../sql/postgres/0007_archive_parts.sql"),
    },
    Step {
        version: 8,
        name: "identity of the stores",
        sql: include_str!("../../sql/postgres/0008_identity.sql"),
    },
    Step { version: 9, name: "sums", sql: include_str!("../../sql/postgres/0009_sums.sql") },
    Step {
        version: 12,
        name: "which records are in error",
        sql: include_str!("../../sql/postgres/0012_invalid_offsets.sql"),
    },
];

/// The newest step that is applied; 0 for none.
pub(super) fn version(client: &mut Client) -> Result<i32, Error> {
    let has_history: bool = client.query_one(HAS_HISTORY, &[])?.try_get(0)?;
    if has_history { client.query_one(NEWEST, &[])?.try_get(0) } else { Ok(0) }
}

/// True when there is nothing to be done; refuses what a newer adpipe wrote. A user with only read
/// rights passes.
pub(super) fn is_current(settings: &PostgresSettings, client: &mut Client) -> Result<bool, WarehouseError> {
    let known = STEPS.last().map_or(0, |step| step.version);
    let found = version(client).map_err(|error| failure(settings.location(), &error))?;
    if found > known {
        return Err(WarehouseError::Unusable {
            location: settings.location().to_owned(),
            reason: format!(
                "it was written by a newer adpipe (schema version {found}, this one knows {known})"
            ),
            advice: "update adpipe",
        });
    }
    Ok(found == known)
}

/// Applies the steps that are missing, all in one transaction: of several processes that start at
/// once the first one works, the others wait for it and find it done.
pub(super) fn migrate(client: &mut Client) -> Result<(), Error> {
    let mut transaction = client.transaction()?;
    transaction.execute(LOCK, &[])?;
    transaction.batch_execute(MAKE_HISTORY)?;
    let found: i32 = transaction.query_one(NEWEST, &[])?.try_get(0)?;
    for step in STEPS.iter().filter(|step| step.version > found) {
        transaction.batch_execute(step.sql)?;
        transaction.execute(NOTE, &[&step.version, &step.name])?;
    }
    transaction.commit()
}
