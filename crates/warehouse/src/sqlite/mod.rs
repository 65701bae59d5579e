//! The embedded warehouse: one SQLite file a schema, attached under the schema's name,
//! so that `realtime.metrics` means the same as on PostgreSQL.

mod limited;
mod query;
mod read;
mod replace;
mod retention;
mod session;
mod snapshot;
mod soundness;
mod stream;

use std::path::{Path, PathBuf};

use adpipe_event::{EventBatch, Millis};
use adpipe_sql::pool::{Pool, PoolBusy, READERS, SNAPSHOTS};
use adpipe_sql::section;
use adpipe_sql::sqlite::{
    BUSY_TIMEOUT, Durability, MigrateError, Migration, make_private, migrate, set_durability, set_wal,
    shape_new_file,
};
use adpipe_sql::trouble::Trouble;
use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, params};

use crate::merge_commits;
use crate::row_sum::offset_sum;
use crate::{
    Dialect, OnRow, PartitionOffset, QueryLimits, RetentionPolicy, Retired, Schema, Session, StreamWriter,
    Value, Warehouse, WarehouseError, WarehouseRead,
};

const STREAM_SQL: &str = include_str!("../../sql/sqlite/stream.sql");
const BEGIN_AT: &str = section(STREAM_SQL, "begin_at");

/// The history of each schema.
fn migrations(schema: Schema) -> &'static [Migration] {
    match schema {
        Schema::Realtime => &[
            Migration {
                version: 1,
                name: "events, metrics, offsets, commits",
                sql: include_str!("../../sql/sqlite/realtime_0001.sql"),
            },
            Migration {
                version: 2,
                name: "replays",
                sql: include_str!("../../sql/sqlite/realtime_0002.sql"),
            },
            Migration {
                version: 3,
                name: "archive, raw files",
                sql: include_str!("../../sql/sqlite/realtime_0003.sql"),
            },
            Migration {
                version: 4,
                name: "hashes of archive parts, runs of batch, errors of type archive",
                sql: include_str!("../../sql/sqlite/realtime_0004.sql"),
            },
            Migration {
                version: 5,
                name: "identity of the store",
                sql: include_str!("../../sql/sqlite/realtime_0005.sql"),
            },
            Migration { version: 6, name: "sums", sql: include_str!("../../sql/sqlite/realtime_0006.sql") },
            Migration {
                version: 8,
                name: "which records are in error",
                sql: include_str!("../../sql/sqlite/realtime_0008.sql"),
            },
        ],
        Schema::Errors => &[
            Migration {
                version: 1,
                name: "the dead-letter queue",
                sql: include_str!("../../sql/sqlite/errors_0001.sql"),
            },
            Migration {
                version: 2,
                name: "identity of the store",
                sql: include_str!("../../sql/sqlite/errors_0002.sql"),
            },
            Migration {
                version: 3,
                name: "errors that wait for the archive",
                sql: include_str!("../../sql/sqlite/errors_0003.sql"),
            },
            Migration { version: 4, name: "sums", sql: include_str!("../../sql/sqlite/errors_0004.sql") },
        ],
        Schema::Ops => &[
            Migration {
                version: 1,
                name: "scheduler, runs",
                sql: include_str!("../../sql/sqlite/ops_0001.sql"),
            },
            Migration { version: 2, name: "data tests", sql: include_str!("../../sql/sqlite/ops_0002.sql") },
            Migration { version: 3, name: "raw files", sql: include_str!("../../sql/sqlite/ops_0003.sql") },
            Migration { version: 4, name: "monitoring", sql: include_str!("../../sql/sqlite/ops_0004.sql") },
            Migration {
                version: 5,
                name: "identity of the store",
                sql: include_str!("../../sql/sqlite/ops_0005.sql"),
            },
        ],
        Schema::Analytics => &[],
    }
}

/// Measured on a million events of one hour: 160,000 rows/s with pages of 16 KiB where 4 KiB
/// gave 122,000, because a page of the key holds four times as many neighbours.
const PAGE_BYTES: u32 = 16_384;

/// Page cache of a connection that writes, in KiB.
const WRITER_CACHE_KIB: u32 = 32 * 1024;

/// Page cache of a session for the schema that it writes, in KiB.
const SESSION_CACHE_KIB: u32 = 8 * 1024;

/// Page cache of a connection for a schema that it only reads, in KiB: 8 MiB for each reader, and
/// there are as many readers as [`READERS`] has connections.
fn reader_cache_kib(schema: Schema) -> u32 {
    match schema {
        Schema::Realtime => 4 * 1024,
        Schema::Errors => 2 * 1024,
        Schema::Ops | Schema::Analytics => 1024,
    }
}

/// Pages of write-ahead log before they are copied into the database: 32 MiB.
const CHECKPOINT_PAGES: u32 = 2_000;

/// The embedded warehouse in one folder.
pub struct SqliteWarehouse {
    folder: PathBuf,
    /// Where `realtime.db` is, if another one is built next to it.
    realtime_folder: Option<PathBuf>,
    readers: Pool<Connection>,
    snapshots: Pool<Connection>,
}

impl SqliteWarehouse {
    /// Opens the warehouse in `folder`, makes what is missing and brings it up to date.
    ///
    /// # Errors
    /// [`WarehouseError::Unavailable`] or [`WarehouseError::Unusable`], with what to do.
    pub fn open(folder: &Path) -> Result<SqliteWarehouse, WarehouseError> {
        SqliteWarehouse::open_with(folder, None)
    }

    /// The warehouse in `folder`, but with the `realtime.db` in another folder: one that is to take
    /// the place of its own by [`replace_realtime`](Self::replace_realtime).
    ///
    /// # Errors
    /// The same as [`open`](Self::open).
    pub fn open_beside(folder: &Path, realtime_folder: &Path) -> Result<SqliteWarehouse, WarehouseError> {
        SqliteWarehouse::open_with(folder, Some(realtime_folder))
    }

    fn open_with(folder: &Path, realtime_folder: Option<&Path>) -> Result<SqliteWarehouse, WarehouseError> {
        for folder in [Some(folder), realtime_folder].into_iter().flatten() {
            adpipe_sql::private::folder(folder).map_err(|error| WarehouseError::Unavailable {
                location: folder.display().to_string(),
                reason: format!("cannot create the folder: {error}"),
                advice: "create it by hand, or name another folder",
            })?;
        }
        let warehouse = SqliteWarehouse {
            folder: folder.to_path_buf(),
            realtime_folder: realtime_folder.map(Path::to_path_buf),
            readers: Pool::new(READERS),
            snapshots: Pool::new(SNAPSHOTS),
        };
        for schema in Schema::ALL {
            warehouse.bring_up_to_date(schema)?;
        }
        Ok(warehouse)
    }

    fn bring_up_to_date(&self, schema: Schema) -> Result<(), WarehouseError> {
        let mut connection = self.checked(in_memory())?;
        make_private(&self.path(schema));
        self.checked(self.attach_to_write(&connection, schema))?;
        migrate(&mut connection, schema.name(), migrations(schema)).map_err(|error| match error {
            MigrateError::Sqlite { source, .. } => self.failure(&source),
            too_new => WarehouseError::Unusable {
                location: self.path(schema).display().to_string(),
                reason: too_new.to_string(),
                advice: "update adpipe",
            },
        })
    }

    /// Looks at every page, every index and every definition of every file.
    ///
    /// # Errors
    /// [`WarehouseError::Unusable`] with the damage found in the first file that has some.
    pub fn check(&self) -> Result<(), WarehouseError> {
        for schema in Schema::ALL {
            let damages = self.damages(schema)?;
            if !damages.is_empty() {
                return Err(WarehouseError::Unusable {
                    location: self.path(schema).display().to_string(),
                    reason: damages.join("; "),
                    advice: Trouble::Corrupt.advice(),
                });
            }
        }
        Ok(())
    }

    /// What is wrong with a schema's file.
    fn damages(&self, schema: Schema) -> Result<Vec<String>, WarehouseError> {
        self.with_reader(|connection| {
            let damages = soundness::check(connection, schema);
            damages.map_err(|error| sqlite_failure(&self.path(schema), &error))
        })
    }

    fn path(&self, schema: Schema) -> PathBuf {
        let folder = match (&self.realtime_folder, schema) {
            (Some(folder), Schema::Realtime) => folder,
            _ => &self.folder,
        };
        folder.join(format!("{}.db", schema.name()))
    }

    /// A new connection that can write one schema, with `cache_kib` for its pages, and read the
    /// others.
    ///
    /// A transaction that writes takes the lock of every attached file that is not read-only, so
    /// that the stream would wait for the dead-letter queue and the other way round.
    fn connect(&self, writes: Schema, cache_kib: u32) -> Result<Connection, WarehouseError> {
        self.checked(self.try_connect(writes, cache_kib))
    }

    fn try_connect(&self, writes: Schema, cache_kib: u32) -> rusqlite::Result<Connection> {
        let connection = in_memory()?;
        // A transaction takes the lock of the file that it writes when it begins, and begins to read
        // the others then, one file after the other in the order of their names here. The one that is
        // waited for comes first: or what is read would be from before the wait.
        let others = Schema::ALL.into_iter().filter(|schema| *schema != writes);
        for schema in std::iter::once(writes).chain(others) {
            if schema == writes {
                self.attach_to_write(&connection, schema)?;
            } else {
                let address = read_only_address(&self.path(schema));
                connection.execute(&format!("attach ?1 as {}", schema.name()), params![address])?;
            }
            let cache_kib = if schema == writes { cache_kib } else { reader_cache_kib(schema) };
            connection.pragma_update(Some(schema.name()), "cache_size", -i64::from(cache_kib))?;
        }
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(connection)
    }

    fn attach_to_write(&self, connection: &Connection, schema: Schema) -> rusqlite::Result<()> {
        let (name, path) = (schema.name(), self.path(schema));
        connection.execute(&format!("attach ?1 as {name}"), params![path.to_string_lossy()])?;
        shape_new_file(connection, name, PAGE_BYTES)?;
        set_wal(connection, name)?;
        set_durability(connection, name, Durability::Consistent)
    }

    fn checked<T>(&self, result: rusqlite::Result<T>) -> Result<T, WarehouseError> {
        result.map_err(|error| self.failure(&error))
    }

    fn failure(&self, error: &rusqlite::Error) -> WarehouseError {
        sqlite_failure(&self.folder, error)
    }

    /// Runs `work` on a pooled connection.
    fn with_reader<T>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, WarehouseError>,
    ) -> Result<T, WarehouseError> {
        let loan = self.readers.take().map_err(|busy| self.busy(busy))?;
        let mut connection = match loan.reuse() {
            Some((connection, _)) => connection,
            None => self.connect_reader()?,
        };
        let result = work(&mut connection);
        if !matches!(result, Err(WarehouseError::Unavailable { .. } | WarehouseError::Unusable { .. })) {
            loan.keep(connection);
        }
        result
    }

    /// A connection that reads. Temporary writes go to `realtime`.
    fn connect_reader(&self) -> Result<Connection, WarehouseError> {
        self.connect(Schema::Realtime, reader_cache_kib(Schema::Realtime))
    }

    fn busy(&self, busy: PoolBusy) -> WarehouseError {
        WarehouseError::Unavailable {
            location: self.folder.display().to_string(),
            reason: busy.to_string(),
            advice: PoolBusy::ADVICE,
        }
    }
}

/// A connection that has no file yet.
fn in_memory() -> rusqlite::Result<Connection> {
    let connection = Connection::open_in_memory()?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    // The bundled SQLite has no mathematics. Correctly rounded, as PostgreSQL's.
    let flags =
        FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_scalar_function("sqrt", 1, flags, |context| {
        Ok(context.get::<Option<f64>>(0)?.map(f64::sqrt).filter(|root| !root.is_nan()))
    })?;
    Ok(connection)
}

/// A file's address as SQLite reads it, <https://www.sqlite.org/uri.html>.
fn read_only_address(path: &Path) -> String {
    let mut address = String::from("file:");
    for character in path.to_string_lossy().chars() {
        match character {
            '%' => address.push_str("%25"),
            '?' => address.push_str("%3f"),
            '#' => address.push_str("%23"),
            other => address.push(other),
        }
    }
    address.push_str("?mode=ro");
    address
}

/// Sorts a SQLite failure by what the caller can do.
fn sqlite_failure(folder: &Path, error: &rusqlite::Error) -> WarehouseError {
    let trouble = Trouble::of(error);
    let (location, reason) = (folder.display().to_string(), error.to_string());
    match trouble {
        Trouble::Corrupt => WarehouseError::Unusable { location, reason, advice: trouble.advice() },
        Trouble::Other | Trouble::Constraint => {
            let is_wrong_name = matches!(error, rusqlite::Error::SqlInputError { .. });
            let damage = is_wrong_name.then(|| changed_definition(folder)).flatten();
            damage.unwrap_or(WarehouseError::Statement(reason))
        }
        _ => WarehouseError::Unavailable { location, reason, advice: trouble.advice() },
    }
}

/// The file whose tables are not those that adpipe made, if there is one. A flipped bit in a column's
/// name leaves a sound database, in which statements of ours name a column that it does not have.
fn changed_definition(folder: &Path) -> Option<WarehouseError> {
    Schema::ALL.into_iter().find_map(|schema| {
        let path = folder.join(format!("{}.db", schema.name()));
        let attach = format!("attach ?1 as {}", schema.name());
        let connection = in_memory().ok()?;
        connection.execute(&attach, params![read_only_address(&path)]).ok()?;
        // The statement that cannot read it reports this.
        let changes = soundness::changed_definitions(&connection, schema).ok()?;
        (!changes.is_empty()).then(|| WarehouseError::Unusable {
            location: path.display().to_string(),
            reason: changes.join("; "),
            advice: Trouble::Corrupt.advice(),
        })
    })
}

impl WarehouseRead for SqliteWarehouse {
    fn offsets(&self, topic: &str) -> Result<Vec<PartitionOffset>, WarehouseError> {
        self.with_reader(|connection| read::offsets(&self.folder, connection, topic))
    }

    fn newest_minute(&self) -> Result<Option<Millis>, WarehouseError> {
        self.with_reader(|connection| read::newest_minute(&self.folder, connection))
    }

    fn contains(&self, events: &EventBatch) -> Result<Vec<bool>, WarehouseError> {
        self.with_reader(|connection| read::contains(&self.folder, connection, events))
    }

    fn query(
        &self,
        sql: &str,
        params: &[Value],
        on_row: &mut OnRow<'_>,
    ) -> Result<Vec<String>, WarehouseError> {
        self.with_reader(|connection| query::run(&self.folder, connection, sql, params, on_row))
    }

    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    fn location(&self) -> String {
        self.folder.display().to_string()
    }
}

impl Warehouse for SqliteWarehouse {
    fn begin_at(&self, topic: &str, partition: u32, first: u64) -> Result<(), WarehouseError> {
        // A crash that could undo this takes the processor with it, which then starts again.
        self.with_reader(|connection| {
            let now = Millis::now().to_string();
            let sum = offset_sum("realtime.offsets", topic, partition, first).as_i64();
            connection
                .execute(BEGIN_AT, params![topic, partition, first as i64, now, sum])
                .map(drop)
                .map_err(|error| self.failure(&error))
        })
    }

    fn stream_writer(&self) -> Result<Box<dyn StreamWriter>, WarehouseError> {
        let connection = self.connect(Schema::Realtime, WRITER_CACHE_KIB)?;
        Ok(Box::new(stream::SqliteWriter { connection, folder: self.folder.clone() }))
    }

    fn session(&self, writes: Schema) -> Result<Box<dyn Session>, WarehouseError> {
        let connection = self.connect(writes, SESSION_CACHE_KIB)?;
        self.checked(set_durability(&connection, writes.name(), Durability::EveryCommit))?;
        Ok(Box::new(session::SqliteSession { connection, folder: self.folder.clone() }))
    }

    fn query_within(
        &self,
        sql: &str,
        limits: &QueryLimits,
        on_row: &mut OnRow<'_>,
    ) -> Result<Vec<String>, WarehouseError> {
        // Of its own: limits stay with a connection.
        let connection = self.connect_reader()?;
        limited::run(&self.folder, connection, sql, limits, on_row)
    }

    fn snapshot(&self) -> Result<Box<dyn WarehouseRead + '_>, WarehouseError> {
        let loan = self.snapshots.take().map_err(|busy| self.busy(busy))?;
        let connection = self.connect_reader()?;
        Ok(Box::new(snapshot::SqliteSnapshot::begin(loan, connection, self.folder.clone())?))
    }

    fn sync(&self) -> Result<(), WarehouseError> {
        self.with_reader(|connection| {
            // A checkpoint syncs the log of changes before it copies it into the file. Sessions
            // sync each of their commits.
            let pragma = format!("pragma {}.wal_checkpoint(full)", Schema::Realtime.name());
            connection.query_row(&pragma, [], |_| Ok(())).map_err(|error| self.failure(&error))
        })
    }

    fn retire(&self, policy: RetentionPolicy) -> Result<Retired, WarehouseError> {
        let mut retired =
            self.with_reader(|connection| retention::retire(&self.folder, connection, policy))?;
        let mut session = self.session(Schema::Realtime)?;
        let mut transaction = session.begin()?;
        let before = policy.commits_before().to_string();
        retired.commits = merge_commits::merge(transaction.as_mut(), retention::MERGEABLE_COMMITS, &before)?;
        transaction.commit()?;
        Ok(retired)
    }

    fn check_storage(&self) -> Result<Option<Vec<String>>, WarehouseError> {
        let mut found = Vec::new();
        for schema in Schema::ALL {
            let damages = self.damages(schema)?;
            found.extend(damages.iter().map(|damage| format!("{}.db: {damage}", schema.name())));
        }
        Ok(Some(found))
    }
}
