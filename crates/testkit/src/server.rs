//! A server of one process that answers HTTP.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::{PATIENCE, http};

/// A running process; it ends when this is dropped.
pub(crate) struct Server {
    name: &'static str,
    child: Child,
    address: String,
    folder: tempfile::TempDir,
}

impl Server {
    /// Starts the program with what `arguments` makes of its folder and address; None when it is
    /// not installed ([`crate::skip`]). It is ready when `ready_path` answers 200.
    pub(crate) fn start(
        test: &str,
        name: &'static str,
        ready_path: &str,
        arguments: impl FnOnce(&mut Command, &Path, &str),
    ) -> Option<Server> {
        Server::start_at(test, name, format!("127.0.0.1:{}", crate::free_port()), ready_path, arguments)
    }

    /// As [`Server::start`], where the test has to know the address before.
    pub(crate) fn start_at(
        test: &str,
        name: &'static str,
        address: String,
        ready_path: &str,
        arguments: impl FnOnce(&mut Command, &Path, &str),
    ) -> Option<Server> {
        if !is_installed(name) {
            crate::skip(test, &format!("{name} is not installed"));
            return None;
        }
        let folder = tempfile::Builder::new().prefix("adpipe-server-").tempdir().unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut command = Command::new(name);
        arguments(&mut command, folder.path(), &address);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn().unwrap();
        let mut server = Server { name, child, address, folder };
        let (address, log) = (server.address.clone(), server.folder.path().join("log"));
        await_ready(name, &mut server.child, &log, || http::page(&address, ready_path).is_some());
        Some(server)
    }

    /// `host:port`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// What it wrote.
    pub(crate) fn log(&self) -> String {
        read_log(&self.folder.path().join("log"))
    }

    /// The body of a page.
    pub(crate) fn page(&self, path: &str) -> String {
        let response = http::send(&self.address, "GET", path, &[], b"")
            .unwrap_or_else(|error| panic!("{} does not answer {path}: {error}: {}", self.name, self.log()));
        assert_eq!(response.status, 200, "{} {path}: {}", self.name, response.body);
        response.body
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until a process that was just started is ready.
///
/// # Panics
/// When it ends instead, or takes too long; with what it wrote to its log.
pub(crate) fn await_ready(name: &str, child: &mut Child, log: &Path, mut is_ready: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_ready() {
        let ended = child.try_wait().unwrap();
        assert!(ended.is_none(), "{name} ended: {ended:?}: {}", read_log(log));
        assert!(started.elapsed() < PATIENCE, "{name} is not ready within {PATIENCE:?}: {}", read_log(log));
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What a process wrote so far.
pub(crate) fn read_log(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

pub(crate) fn is_installed(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

/// Text as a part of a URL's query.
pub(crate) fn percent_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
