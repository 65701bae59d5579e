//! A server of one process that answers HTTP, and a small client for it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Far more than any of them takes, on a loaded machine too.
const READY_WITHIN: Duration = Duration::from_secs(60);

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
        let deadline = Instant::now() + READY_WITHIN;
        while get(&server.address, ready_path).is_none_or(|(status, _)| status != 200) {
            let ended = server.child.try_wait().unwrap();
            assert!(ended.is_none(), "{name} ended: {}", server.log());
            assert!(Instant::now() < deadline, "{name} is not ready in time: {}", server.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(server)
    }

    /// `host:port`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// What it wrote.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// The body of a page.
    pub(crate) fn page(&self, path: &str) -> String {
        let (status, body) = get(&self.address, path)
            .unwrap_or_else(|| panic!("{} does not answer {path}: {}", self.name, self.log()));
        assert_eq!(status, 200, "{} {path}: {body}", self.name);
        body
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn is_installed(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

/// GET on loopback: status and body. None when nobody answers.
pub fn get(address: &str, path: &str) -> Option<(u16, String)> {
    let mut connection = TcpStream::connect(address).ok()?;
    connection.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
    // HTTP/1.0: the answer comes in one piece and ends with the connection.
    write!(connection, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").ok()?;
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
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
