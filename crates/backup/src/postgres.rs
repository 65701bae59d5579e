//! PostgreSQL's half: its own programs, `pg_dump` and `pg_restore`.
//!
//! The moment is a snapshot of the server's, exported for `pg_dump` while a lock blocks writers of
//! offsets and retries; if there is an embedded log, it is opened before they continue. Passwords are
//! passed in the environment.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use adpipe_runtime::Shutdown;
use adpipe_sql::section;
use adpipe_warehouse::{Row, Schema, Session, Warehouse, WarehouseError, WarehouseRead, query_table};

use crate::copy::{Content, content_of, create_private};
use crate::cut::{self, ListedPart, Seen};
use crate::{BackupError, Progress};

const BACKUP_SQL: &str = include_str!("../sql/postgres.sql");
const HOLD_UP: &str = section(BACKUP_SQL, "hold_up");
const EXPORT: &str = section(BACKUP_SQL, "export");
const PARTS: &str = section(BACKUP_SQL, "parts");

/// The name of the dump.
pub(crate) const DUMP: &str = "warehouse.dump";

const POLL: Duration = Duration::from_millis(50);

/// How long the locks are tried for, and until they are tried again.
const SERVER_WAIT: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(300);

/// The server at one moment, and the embedded log at that moment.
pub(crate) struct Moment<'a> {
    snapshot: Box<dyn WarehouseRead + 'a>,
    name: String,
    /// The embedded log, if there is one.
    pub log: Vec<Seen>,
}

/// Takes the moment, however often the locks must be tried.
pub(crate) fn begin<'a>(
    warehouse: &'a dyn Warehouse,
    log: Option<&Path>,
    shutdown: &Shutdown,
) -> Result<Moment<'a>, BackupError> {
    let started = Instant::now();
    loop {
        match try_begin(warehouse, log, shutdown) {
            Err(BackupError::Warehouse(error)) if error.is_transient() && started.elapsed() < SERVER_WAIT => {
                if shutdown.sleep(PAUSE) {
                    return Err(BackupError::Stopped);
                }
            }
            begun => return begun,
        }
    }
}

fn try_begin<'a>(
    warehouse: &'a dyn Warehouse,
    log: Option<&Path>,
    shutdown: &Shutdown,
) -> Result<Moment<'a>, BackupError> {
    let mut session: Box<dyn Session> = warehouse.session(Schema::Realtime)?;
    let mut held = session.begin()?;
    held.script(HOLD_UP)?;
    let snapshot = warehouse.snapshot()?;
    let exported = query_table(snapshot.as_ref(), EXPORT, &[])?;
    let name = exported.one()?.get("name")?;
    let log = cut::begin(log, None, shutdown)?;
    // Ends without a change.
    drop(held);
    Ok(Moment { snapshot, name, log })
}

impl Moment<'_> {
    /// The archive's list.
    pub fn archive_parts(&self) -> Result<Vec<ListedPart>, BackupError> {
        let table = query_table(self.snapshot.as_ref(), PARTS, &[])?;
        let part = |row: Row<'_>| {
            let (path, bytes) = (row.get("path")?, row.get("bytes")?);
            Ok::<ListedPart, WarehouseError>(ListedPart { path, bytes, hash: row.get("hash")? })
        };
        Ok(table.iter().map(part).collect::<Result<_, _>>()?)
    }

    /// Dumps adpipe's schemas into a new file.
    pub fn dump(
        &self,
        environment: &[(String, String)],
        to: &Path,
        shutdown: &Shutdown,
    ) -> Result<Content, BackupError> {
        drop(create_private(to)?);
        let mut command = Command::new("pg_dump");
        command.args(["--format=custom", "--no-password", "--snapshot", &self.name, "--file"]).arg(to);
        for schema in Schema::ALL {
            command.args(["--schema", schema.name()]);
        }
        let by_hand = format!(
            "install PostgreSQL's client programs in the server's version or newer, or dump the schemas yourself:\n  {}",
            dump_by_hand(environment)
        );
        run(command, "pg_dump", environment, &by_hand, shutdown)?;
        content_of(to, &Progress::new(), shutdown)
    }
}

/// Puts a dump into an empty database, all or nothing.
pub(crate) fn restore(
    environment: &[(String, String)],
    dump: &Path,
    shutdown: &Shutdown,
) -> Result<(), BackupError> {
    let mut command = Command::new("pg_restore");
    let database = variable(environment, "PGDATABASE");
    command.args(["--single-transaction", "--exit-on-error", "--no-owner", "--no-acl", "--no-password"]);
    command.args(["--dbname", database]).arg(dump);
    let by_hand = format!(
        "install PostgreSQL's client programs, or restore it yourself into the empty database:\n  pg_restore \
         --single-transaction --exit-on-error --no-owner --no-acl {} {}\nand restore the rest with --without-warehouse",
        address(environment),
        dump.display()
    );
    run(command, "pg_restore", environment, &by_hand, shutdown)
}

fn dump_by_hand(environment: &[(String, String)]) -> String {
    let schemas: Vec<String> =
        Schema::ALL.iter().map(|schema| format!("--schema={}", schema.name())).collect();
    format!("pg_dump --format=custom {} {} --file=warehouse.dump", schemas.join(" "), address(environment))
}

/// Flags that name the database; the password is not among them.
fn address(environment: &[(String, String)]) -> String {
    format!(
        "--host={} --port={} --username={} --dbname={}",
        variable(environment, "PGHOST"),
        variable(environment, "PGPORT"),
        variable(environment, "PGUSER"),
        variable(environment, "PGDATABASE")
    )
}

fn variable<'e>(environment: &'e [(String, String)], name: &str) -> &'e str {
    environment.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
}

/// Runs one of PostgreSQL's programs to its end, or until the switch is off.
fn run(
    mut command: Command,
    program: &'static str,
    environment: &[(String, String)],
    by_hand: &str,
    shutdown: &Shutdown,
) -> Result<(), BackupError> {
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let failed = |reason: String| BackupError::Program { program, reason };
    let child = command.spawn().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => failed(format!("not found on PATH; {by_hand}")),
        _ => failed(error.to_string()),
    })?;
    let mut child = Ended(child);
    let mut words = child.0.stderr.take();
    let reading = std::thread::spawn(move || {
        let mut text = Vec::new();
        // What it said until then is all there is.
        let _ = words.as_mut().map(|words| words.read_to_end(&mut text));
        String::from_utf8_lossy(&text).into_owned()
    });
    let status = loop {
        if let Some(status) = child.0.try_wait().map_err(|error| failed(error.to_string()))? {
            break status;
        }
        if shutdown.sleep(POLL) {
            return Err(BackupError::Stopped);
        }
    };
    let words = reading.join().unwrap_or_default();
    if status.success() {
        Ok(())
    } else {
        let last: Vec<&str> = words.lines().filter(|line| !line.trim().is_empty()).collect();
        let last = last[last.len().saturating_sub(5)..].join("\n  ");
        Err(failed(format!("{status}: {last}; {by_hand}")))
    }
}

/// A child that does not outlive us.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
