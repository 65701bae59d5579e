//! A stand-in for Slack's incoming webhooks on loopback: keeps what was posted and says `ok`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

/// Listens until the test's process ends.
pub struct Slack {
    port: u16,
    posted: Arc<Mutex<Vec<String>>>,
}

impl Slack {
    /// Starts it on a free port.
    pub fn start() -> Slack {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let posted = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&posted);
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                if let Some(body) = answer(connection) {
                    kept.lock().unwrap_or_else(PoisonError::into_inner).push(body);
                }
            }
        });
        Slack { port, posted }
    }

    /// The webhook's URL.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/services/T000/B000/XXX", self.port)
    }

    /// The bodies posted so far.
    pub fn posted(&self) -> Vec<String> {
        self.posted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Reads one request; None when it is not a whole POST.
fn answer(connection: TcpStream) -> Option<String> {
    let mut reader = BufReader::new(connection);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let is_post = line.starts_with("POST /services/");
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let header = line.trim_end().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let status = if is_post { "200 OK" } else { "404 Not Found" };
    let mut connection = reader.into_inner();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
    );
    connection.write_all(head.as_bytes()).ok()?;
    is_post.then(|| String::from_utf8_lossy(&body).into_owned())
}
