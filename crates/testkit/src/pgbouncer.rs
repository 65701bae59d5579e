//! PgBouncer before a PostgreSQL of the test's.

use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::postgres::Postgres;
use crate::server::{await_ready, is_installed};

/// Debian's place for it, which is on the path of root alone.
const DEBIAN: &str = "/usr/sbin/pgbouncer";

/// A running pooler; it ends when this is dropped.
pub struct PgBouncer<'p> {
    server: &'p Postgres,
    port: u16,
    child: Child,
    folder: TempDir,
}

impl<'p> PgBouncer<'p> {
    /// With `pool_mode` session, transaction or statement; everybody comes in as `postgres`. None
    /// when it is not installed ([`crate::skip`]).
    ///
    /// # Panics
    /// If it does not start.
    pub fn start(test: &str, server: &'p Postgres, pool_mode: &str) -> Option<PgBouncer<'p>> {
        let program = match (is_installed("pgbouncer"), Path::new(DEBIAN).exists()) {
            (true, _) => "pgbouncer",
            (false, true) => DEBIAN,
            (false, false) => {
                crate::skip(test, "PgBouncer is not installed");
                return None;
            }
        };
        let folder = tempfile::Builder::new().prefix("adpipe-pgbouncer-").tempdir().unwrap();
        let port = crate::free_port();
        let settings = format!(
            "[databases]\n\
             * = host=127.0.0.1 port={} user=postgres\n\
             [pgbouncer]\n\
             listen_addr = 127.0.0.1\n\
             listen_port = {port}\n\
             unix_socket_dir =\n\
             auth_type = any\n\
             pool_mode = {pool_mode}\n",
            server.port()
        );
        let file = folder.path().join("pgbouncer.ini");
        std::fs::write(&file, settings).unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut command = Command::new(program);
        if crate::postgres::is_root() {
            // It refuses root, reads its file before it changes the user, and needs nothing after.
            command.args(["-u", "postgres"]);
        }
        command.arg(&file).current_dir("/").stdin(Stdio::null());
        let child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let mut pooler = PgBouncer { server, port, child, folder };
        let log = pooler.folder.path().join("log");
        await_ready("PgBouncer", &mut pooler.child, &log, || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Some(pooler)
    }

    /// The URL of a database after it, from the server's own URL.
    pub fn url(&self, of_the_server: &str) -> String {
        of_the_server.replace(&format!(":{}/", self.server.port()), &format!(":{}/", self.port))
    }

    /// Runs statements through it and gives the bare values; the database by the server's own URL.
    ///
    /// # Panics
    /// When they fail.
    pub fn psql(&self, of_the_server: &str, sql: &str) -> String {
        let output = Command::new(self.server.programs().join("psql"))
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql, "-d"])
            .arg(self.url(of_the_server))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{sql}: {said}\n{}", self.log());
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// What it has said so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for PgBouncer<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
