//! A PostgreSQL of the test's own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::PATIENCE;

/// Where Debian, Fedora, Homebrew and a plain `make install` put the binaries.
const PLACES: [&str; 4] =
    ["/usr/lib/postgresql", "/usr/pgsql", "/opt/homebrew/opt/postgresql", "/usr/local/pgsql"];

/// A running server; its superuser is `postgres`, nobody needs a password until told otherwise.
pub struct Postgres {
    bin: PathBuf,
    folder: TempDir,
    port: u16,
    options: Vec<String>,
    databases: AtomicU32,
}

static SHARED: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());

impl Postgres {
    /// A server for this test alone, to be stopped, killed and filled at will. None when
    /// PostgreSQL is not installed; see [`crate::skip`].
    pub fn start(test: &str) -> Option<Postgres> {
        // A killed process keeps what it wrote; only a power failure would need the sync.
        Postgres::start_with(test, &["fsync=off"])
    }

    /// As [`start`](Self::start), with `name=value` settings of its own and no others.
    pub fn start_with(test: &str, settings: &[&str]) -> Option<Postgres> {
        let Some(bin) = binaries() else {
            crate::skip(test, "PostgreSQL is not installed");
            return None;
        };
        let folder =
            tempfile::Builder::new().prefix("adpipe-postgres-").tempdir().expect("a temporary folder");
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(folder.path()));
        }
        let server = Postgres {
            bin,
            folder,
            port: crate::free_port(),
            options: settings.iter().map(|setting| format!("-c {setting}")).collect(),
            databases: AtomicU32::new(0),
        };
        run(server
            .command("initdb")
            .args(["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "-N", "-D"])
            .arg(server.data()));
        server.start_again();
        Some(server)
    }

    /// A server that the tests of one program share while any of them runs.
    pub fn shared(test: &str) -> Option<Arc<Postgres>> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = shared.upgrade() {
            return Some(server);
        }
        let server = Arc::new(Postgres::start(test)?);
        *shared = Arc::downgrade(&server);
        Some(server)
    }

    /// Makes a new, empty database and gives its URL.
    pub fn new_database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.psql("postgres", &format!("create database {name}"));
        self.url(&name)
    }

    /// The superuser's URL of a database.
    pub fn url(&self, database: &str) -> String {
        self.url_of("postgres", database)
    }

    /// A user's URL of a database.
    pub fn url_of(&self, user: &str, database: &str) -> String {
        format!("postgres://{user}@127.0.0.1:{}/{database}", self.port)
    }

    /// The folder of its programs: `psql`, `pg_dump` and so on.
    pub fn programs(&self) -> &Path {
        &self.bin
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Runs statements as superuser with `psql` and gives the bare values, one row a line.
    pub fn psql(&self, database: &str, sql: &str) -> String {
        let mut command = Command::new(self.bin.join("psql"));
        command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", "postgres"]);
        command.args(["-p", &self.port.to_string(), "-d", database, "-c", sql]);
        String::from_utf8_lossy(&run(&mut command).stdout).trim_end().to_owned()
    }

    /// Runs a file of statements as superuser.
    pub fn psql_file(&self, database: &str, file: &Path) {
        let mut command = Command::new(self.bin.join("psql"));
        command.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", "postgres"]);
        command.args(["-p", &self.port.to_string(), "-d", database, "-f"]).arg(file);
        run(&mut command);
    }

    /// Replaces `pg_hba.conf` and has the server read it.
    pub fn set_access(&self, rules: &str) {
        std::fs::write(self.data().join("pg_hba.conf"), rules).expect("pg_hba.conf is writable");
        run(self.command("pg_ctl").args(["reload", "-D"]).arg(self.data()));
    }

    /// Stops it as a crash does: sessions cut, nothing written; the next start recovers.
    pub fn stop_immediately(&self) {
        run(self.command("pg_ctl").args(["stop", "-m", "immediate", "-w", "-D"]).arg(self.data()));
    }

    /// `kill -9` of the main process.
    pub fn kill(&self) {
        let pid_file = self.data().join("postmaster.pid");
        let text = std::fs::read_to_string(&pid_file).expect("a running server has a pid file");
        let pid = text.lines().next().unwrap_or_default().to_owned();
        run(Command::new("kill").args(["-9", &pid]));
    }

    /// Ends it in order: everything is in its files then.
    pub fn stop(&self) {
        run(self.command("pg_ctl").args(["stop", "-m", "fast", "-w", "-D"]).arg(self.data()));
    }

    /// Starts it again as a standby without a primary: it answers, and only reads.
    pub fn restart_as_standby(&self) {
        self.stop();
        std::fs::write(self.data().join("standby.signal"), "").expect("the data folder is writable");
        self.start_again();
    }

    /// Starts it on the same port and data.
    pub fn start_again(&self) {
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -k {} {}",
            self.port,
            self.folder.path().display(),
            self.options.join(" ")
        );
        let started = Instant::now();
        let start = || {
            let mut command = self.command("pg_ctl");
            command.args(["start", "-w", "-t", "60", "-D"]).arg(self.data());
            command.arg("-l").arg(self.folder.path().join("log")).args(["-o", &options]);
            command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
        };
        // A server that was killed leaves children, which hold the data for a moment.
        while !start() {
            assert!(started.elapsed() < PATIENCE, "PostgreSQL does not start:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// What the server has said so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// One of the server's programs, as a user that it accepts: it refuses root.
    fn command(&self, program: &str) -> Command {
        let program = self.bin.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.current_dir("/");
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let mut command = self.command("pg_ctl");
        command.args(["stop", "-m", "immediate", "-D"]).arg(self.data());
        let _ = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{said}", output.status);
    output
}

pub(crate) fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output();
    output.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// Everything that is run from there; some systems link only a part of it into the path.
fn has_all(folder: &Path) -> bool {
    ["initdb", "pg_ctl", "postgres", "psql"].iter().all(|program| folder.join(program).exists())
}

/// The newest server's folder of binaries.
fn binaries() -> Option<PathBuf> {
    let on_path =
        std::env::var_os("PATH").and_then(|path| std::env::split_paths(&path).find(|folder| has_all(folder)));
    let versions = PLACES.iter().flat_map(|place| {
        let place = Path::new(place);
        let inside =
            std::fs::read_dir(place).into_iter().flatten().flatten().map(|entry| entry.path().join("bin"));
        inside.chain([place.join("bin")]).collect::<Vec<_>>()
    });
    let mut found: Vec<PathBuf> = versions.filter(|folder| has_all(folder)).collect();
    found.sort();
    on_path.or_else(|| found.pop())
}
