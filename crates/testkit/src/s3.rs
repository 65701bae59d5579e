//! A real S3-compatible server: the Versity gateway over a folder, on loopback.

use std::collections::BTreeSet;
use std::fs::File;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::server::await_ready;

/// The release under test, from the Go module proxy. A change here builds into a folder of its own.
const MODULE: &str = "github.com/versity/versitygw/cmd/versitygw";
const VERSION: &str = "v1.8.0";

/// The only user's keys.
pub const ACCESS_KEY: &str = "adpipe-test";
/// The secret of [`ACCESS_KEY`].
pub const SECRET_KEY: &str = "not-a-secret-of-anybody";

/// Where the gateway keeps what is not there yet, in each bucket.
const UNFINISHED: &str = ".sgwtmp";

/// A running server; it ends, and its buckets go, when this is dropped.
pub struct S3 {
    program: PathBuf,
    folder: tempfile::TempDir,
    port: u16,
    certificate: Option<(PathBuf, PathBuf)>,
    server: Option<Child>,
}

impl S3 {
    /// Starts a server without buckets. None when it is not installed and Go, which could build it,
    /// is not there; see [`crate::skip`].
    pub fn start(test: &str) -> Option<S3> {
        S3::start_with(test, None)
    }

    /// The same with TLS: files of a certificate and its key.
    pub fn start_with_tls(test: &str, certificate: &Path, key: &Path) -> Option<S3> {
        S3::start_with(test, Some((certificate.to_path_buf(), key.to_path_buf())))
    }

    fn start_with(test: &str, certificate: Option<(PathBuf, PathBuf)>) -> Option<S3> {
        let program = match program() {
            Ok(program) => program,
            Err(reason) => {
                crate::skip(test, &reason);
                return None;
            }
        };
        let folder = tempfile::Builder::new().prefix("adpipe-s3-").tempdir().unwrap();
        for name in ["buckets", "metadata"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let mut s3 = S3 { program, folder, port: crate::free_port(), certificate, server: None };
        s3.start_again();
        Some(s3)
    }

    /// The server's URL.
    pub fn endpoint(&self) -> String {
        let scheme = if self.certificate.is_some() { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Makes a bucket.
    pub fn make_bucket(&self, name: &str) {
        std::fs::create_dir(self.bucket(name)).unwrap();
    }

    /// Keys of all objects of a bucket, as they lie on the disk.
    pub fn objects(&self, bucket: &str) -> BTreeSet<String> {
        let root = self.bucket(bucket);
        let mut found = BTreeSet::new();
        files_below(&root, &mut found);
        let key = |path: &PathBuf| path.strip_prefix(&root).unwrap().display().to_string();
        found.iter().map(key).filter(|key| !key.starts_with(UNFINISHED)).collect()
    }

    /// Files of uploads in pieces that have not come to their end.
    pub fn unfinished(&self, bucket: &str) -> usize {
        let mut found = BTreeSet::new();
        files_below(&self.bucket(bucket).join(UNFINISHED), &mut found);
        found.len()
    }

    /// The file that an object is.
    pub fn file(&self, bucket: &str, key: &str) -> PathBuf {
        self.bucket(bucket).join(key)
    }

    /// Ends the server at once (`kill -9`).
    pub fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().unwrap();
            server.wait().unwrap();
        }
    }

    /// Starts it again on the same port and buckets.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start_again(&mut self) {
        let log = File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        let mut command = Command::new(&self.program);
        command.args(["--quiet", "--port", &format!("127.0.0.1:{}", self.port)]);
        if let Some((certificate, key)) = &self.certificate {
            command.arg("--cert").arg(certificate).arg("--key").arg(key);
        }
        // Metadata next to the buckets: not every file system has extended attributes.
        command.arg("posix").arg("--sidecar").arg(self.folder.path().join("metadata"));
        command.arg(self.folder.path().join("buckets"));
        command.env("ROOT_ACCESS_KEY", ACCESS_KEY).env("ROOT_SECRET_KEY", SECRET_KEY);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut server = command.spawn().unwrap();
        let log = self.folder.path().join("log");
        await_ready("versitygw", &mut server, &log, || TcpStream::connect(("127.0.0.1", self.port)).is_ok());
        self.server = Some(server);
    }

    /// What the server has said so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn bucket(&self, name: &str) -> PathBuf {
        self.folder.path().join("buckets").join(name)
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        self.kill();
    }
}

fn files_below(folder: &Path, found: &mut BTreeSet<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            files_below(&path, found);
        } else {
            found.insert(path);
        }
    }
}

/// The server's program, built once per user.
fn program() -> Result<PathBuf, String> {
    let cache = match std::env::var_os("XDG_CACHE_HOME") {
        Some(cache) => PathBuf::from(cache),
        None => PathBuf::from(std::env::var_os("HOME").ok_or("HOME is not set")?).join(".cache"),
    };
    let folder = cache.join("adpipe").join("versitygw").join(VERSION);
    let program = folder.join("versitygw");
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    // Tests run at once and in several processes: one of them builds, the others wait.
    let lock = File::create(folder.join("lock")).map_err(|error| error.to_string())?;
    lock.lock().map_err(|error| error.to_string())?;
    if program.exists() {
        return Ok(program);
    }
    let built = Command::new("go")
        .args(["install", &format!("{MODULE}@{VERSION}")])
        .env("GOBIN", &folder)
        .env("CGO_ENABLED", "0")
        .output()
        .map_err(|_| {
            "neither versitygw nor Go 1.21 or newer, which would build it, is installed".to_owned()
        })?;
    if built.status.success() {
        Ok(program)
    } else {
        Err(format!("versitygw cannot be built: {}", String::from_utf8_lossy(&built.stderr)))
    }
}
