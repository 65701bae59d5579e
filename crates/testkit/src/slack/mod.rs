//! A stand-in for Slack's incoming webhooks on loopback: keeps what was posted, holds it to Slack's
//! limits, and can be told to be too busy, broken, deaf or gone.

mod limits;

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

pub use limits::problems;

/// What the stand-in does with a post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// 200 `ok`, or 400 `invalid_payload` when the message is beyond Slack's limits.
    Ok,
    /// 429 with `Retry-After` in seconds.
    TooMany(u32),
    /// This status with this text.
    Status(u16, &'static str),
    /// Takes the post and never answers.
    Hang,
    /// Closes the connection without an answer.
    Close,
}

/// A post as it came.
#[derive(Debug, Clone)]
pub struct Post {
    /// When its last byte came.
    pub at: Instant,
    /// JSON, as Slack takes it.
    pub body: String,
    /// The status it was answered with; 0 for none.
    pub status: u16,
}

#[derive(Default)]
struct State {
    posts: Vec<Post>,
    next: VecDeque<Answer>,
    always: Option<Answer>,
    problems: Vec<String>,
    /// Connections that are being served.
    serving: usize,
}

/// Listens until it is dropped or the test's process ends.
pub struct Slack {
    port: u16,
    state: Arc<Mutex<State>>,
    is_gone: Arc<AtomicBool>,
}

impl Slack {
    /// Starts it on a free port.
    pub fn start() -> Slack {
        Slack::start_on(0)
    }

    /// Starts it on this port, to come back where it was; 0 for a free one.
    pub fn start_on(port: u16) -> Slack {
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("loopback has a free port");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let slack = Slack { port, state: Arc::default(), is_gone: Arc::default() };
        let (state, is_gone) = (Arc::clone(&slack.state), Arc::clone(&slack.is_gone));
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                if is_gone.load(Ordering::SeqCst) {
                    return;
                }
                let state = Arc::clone(&state);
                lock(&state).serving += 1;
                std::thread::spawn(move || {
                    serve(connection, &state);
                    lock(&state).serving -= 1;
                });
            }
        });
        slack
    }

    /// The webhook's URL.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/services/T000/B000/XXX", self.port)
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it does with the next posts, one each, before anything else.
    pub fn answer_next(&self, answers: impl IntoIterator<Item = Answer>) {
        lock(&self.state).next.extend(answers);
    }

    /// What it does with every post from now on.
    pub fn answer_always(&self, answer: Answer) {
        lock(&self.state).always = Some(answer);
    }

    /// The bodies that were taken with 200 so far.
    pub fn posted(&self) -> Vec<String> {
        let taken = |post: &&Post| post.status == 200;
        lock(&self.state).posts.iter().filter(taken).map(|post| post.body.clone()).collect()
    }

    /// Every post so far, those that were not taken included.
    pub fn posts(&self) -> Vec<Post> {
        lock(&self.state).posts.clone()
    }

    /// Waits until everything that clients have sent by now is taken in, also by those that were
    /// killed meanwhile. Not while it [hangs](Answer::Hang).
    pub fn settle(&self) {
        // Connections are taken in their order: after this one all earlier ones are known.
        let mut probe = TcpStream::connect(("127.0.0.1", self.port)).expect("the stand-in listens");
        probe.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("loopback takes it");
        let _ = probe.read_to_end(&mut Vec::new());
        while lock(&self.state).serving > 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// In what the messages so far are beyond Slack's limits.
    pub fn problems(&self) -> Vec<String> {
        lock(&self.state).problems.clone()
    }
}

impl Drop for Slack {
    /// The listener is woken up, to see that it has to go.
    fn drop(&mut self) {
        self.is_gone.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads one request and answers it; nothing is kept of what is not a whole POST.
fn serve(connection: TcpStream, state: &Mutex<State>) -> Option<()> {
    let mut reader = BufReader::new(connection);
    let (is_post, body) = read(&mut reader)?;
    let mut connection = reader.into_inner();
    if !is_post {
        return respond(&mut connection, 404, "", "no_service");
    }
    // Kept before it is answered: who was answered finds it here.
    let (answer, status) = {
        let mut state = lock(state);
        let answer = state.next.pop_front().or_else(|| state.always.clone()).unwrap_or(Answer::Ok);
        let wrong = problems(&body);
        let status = match &answer {
            Answer::Ok if wrong.is_empty() => 200,
            Answer::Ok => 400,
            Answer::TooMany(_) => 429,
            Answer::Status(status, _) => *status,
            Answer::Hang | Answer::Close => 0,
        };
        state.problems.extend(wrong);
        state.posts.push(Post { at: Instant::now(), body, status });
        (answer, status)
    };
    match answer {
        Answer::Ok if status == 200 => respond(&mut connection, 200, "", "ok"),
        Answer::Ok => respond(&mut connection, status, "", "invalid_payload"),
        Answer::TooMany(seconds) => {
            respond(&mut connection, 429, &format!("Retry-After: {seconds}\r\n"), "rate_limited")
        }
        Answer::Status(status, text) => respond(&mut connection, status, "", text),
        Answer::Hang => {
            // Until the client gives up.
            connection.set_read_timeout(Some(Duration::from_secs(600))).ok()?;
            let _ = connection.read(&mut [0]);
            None
        }
        Answer::Close => None,
    }
}

fn read(reader: &mut impl BufRead) -> Option<(bool, String)> {
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
    Some((is_post, String::from_utf8_lossy(&body).into_owned()))
}

fn respond(connection: &mut TcpStream, status: u16, headers: &str, text: &str) -> Option<()> {
    let head = format!(
        "HTTP/1.1 {status} \r\nContent-Type: text/plain\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{text}",
        text.len()
    );
    connection.write_all(head.as_bytes()).ok()
}
