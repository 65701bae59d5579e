//! A thousand clients on every route, those that read and those that do not; a flood from one
//! address; few open files. The process stays small, its handles come back, and an honest sender
//! is served within a second.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use adpipe_testkit::raw_http::{self, Answer};
use adpipe_testkit::{assert_in_time, eventually, eventually_within};
use common::{ADPIPE, Folder, Running};

/// These tests measure how long others wait, so they run one after the other.
static TURN: Mutex<()> = Mutex::new(());

/// Clients at the same time.
const CLIENTS: usize = 1_000;

/// What an honest post may take, whatever others do.
const HONEST: Duration = Duration::from_secs(1);

/// What `adpipe up` may take, whatever comes.
const MEMORY_MB: u64 = 300;

/// Handles that the pools may keep for a while: eight readers of the warehouse with eight files
/// each, eight of the log with two.
const POOLED_HANDLES: usize = 8 * 8 + 8 * 2 + 40;

const EVENT: &str = r#"{"id":"ID","click":0,"hour":"14102100","banner_pos":0,"site_id":"a","site_domain":"b","site_category":"c","app_id":"d","app_domain":"e","app_category":"f","device_id":"g","device_ip":"h","device_model":"i","device_type":1,"device_conn_type":0}"#;

#[test]
fn a_thousand_clients_on_every_route() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Folder::new();
    let up = Running::start(folder.adpipe(&["up"]));
    let place = Place::prepare(&folder, &up);
    let targets: Vec<Target> =
        adpipe_console::routes().into_iter().flat_map(|route| place.targets(route)).collect();
    let watch = Watch::of(&up);
    let (idle_mb, idle_files) = (watch.memory_mb(), watch.files());
    println!("idle: {idle_mb} MB, {idle_files} open files");
    println!("{:<58} {:>8} {:>7} {:>8}  answers", "clients", "peak MB", "files", "honest");
    std::thread::scope(|scope| {
        scope.spawn(|| watch.run());
        let _ends = EndsWatch(&watch);
        // Those that do not read: a thousand on each route.
        for target in &targets {
            let clients = connect_all(&up, std::slice::from_ref(target));
            let honest = honest_post(&up);
            watch.settle();
            watch.print(&format!("not reading {}", target.name), honest, &BTreeMap::new());
            drop(clients);
            gone(&watch, idle_files);
        }
        // Those that read: a thousand on some routes together.
        for group in targets.chunks(6) {
            let (answers, honest) = std::thread::scope(|scope| {
                let readers = scope.spawn(|| read_all(&up, group));
                let honest = honest_post(&up);
                (readers.join().unwrap(), honest)
            });
            gone(&watch, idle_files);
            let names: Vec<&str> = group.iter().map(|target| target.name.as_str()).collect();
            watch.print(&format!("reading {}", names.join(" ")), honest, &answers);
            let statuses: Vec<u16> = answers.keys().copied().collect();
            assert!(
                statuses.iter().all(|status| *status != 500 && *status != 0),
                "{names:?}: answers by status {answers:?}"
            );
        }
    });
    println!("afterwards: {} MB, {} open files", watch.memory_mb(), watch.files());
    assert!(up.memory_mb() < MEMORY_MB, "{} MB", up.memory_mb());
    assert_eq!(up.request("GET", "/readyz", b"").0, 200);
}

#[test]
fn with_few_open_files_readers_are_told_to_come_again() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Folder::new();
    let up = Running::start(limited(folder.adpipe(&["up"]), 1_024));
    let clients: Vec<Option<TcpStream>> = (0..CLIENTS)
        .map(|_| {
            let mut stream = TcpStream::connect(&up.address).ok()?;
            let head = format!("GET /api/overview HTTP/1.1\r\nHost: {}\r\n\r\n", up.address);
            stream.write_all(head.as_bytes()).ok()?;
            Some(stream)
        })
        .collect();
    let asked = Instant::now();
    let answer = up.send("GET", "/healthz", &[], b"");
    let is_told = answer.status == 503 && answer.header("retry-after").is_some();
    assert!(answer.status == 200 || is_told, "{answer:?}");
    assert_in_time("an answer among a thousand readers", asked.elapsed(), Duration::from_secs(5));
    drop(clients);
    eventually_within("readers are served at once", Duration::from_secs(3), || {
        up.request("GET", "/api/overview", b"").0 == 200
    });
    assert_eq!(up.request("POST", "/v1/events", EVENT.as_bytes()).0, 202);
}

#[test]
fn a_flood_from_one_address_does_not_starve_another() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Folder::new();
    let mut command = folder.adpipe(&["up"]);
    command.env("ADPIPE_INGEST__MAX_LAG_RECORDS", "100000");
    let up = Running::start(command);
    // Just within every limit of one body.
    let flood = gzip(&b"x\n".repeat(10_000));
    let bomb = gzip(&b"x\n".repeat(20_000_000));
    let (ended, posts) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let _ends = Ends(&ended);
        for number in 0..24 {
            let (up, ended, posts) = (&up, &ended, &posts);
            let body = if number % 4 == 0 { &bomb } else { &flood };
            scope.spawn(move || {
                while !ended.load(Ordering::Relaxed) {
                    let status = try_post(&up.address, None, body).map_or(0, |answer| answer.status);
                    assert!(matches!(status, 0 | 202 | 413 | 429 | 503), "{status}");
                    posts.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let started = Instant::now();
        let (mut slowest, mut honest) = (Duration::ZERO, 0);
        while started.elapsed() < Duration::from_secs(8) {
            let asked = Instant::now();
            let body = EVENT.replace("ID", &format!("honest-{honest}"));
            let answer = try_post(&up.address, Some("127.0.0.2"), body.as_bytes()).unwrap();
            assert_eq!(answer.status, 202, "honest post {honest}: {answer:?}");
            slowest = slowest.max(asked.elapsed());
            honest += 1;
            // A sender that sends now and then.
            std::thread::sleep(Duration::from_millis(50));
        }
        println!(
            "{honest} honest posts, the slowest took {slowest:?}; {} of the flood; peak {} MB",
            posts.load(Ordering::Relaxed),
            up.memory_mb()
        );
        assert_in_time("an honest post in a flood", slowest, HONEST);
    });
    assert!(up.memory_mb() < MEMORY_MB, "{} MB", up.memory_mb());
}

/// Waits until the clients that went away take no handles any more: a request that waits for its
/// turn does so for 3 s at most.
fn gone(watch: &Watch, idle_files: usize) {
    eventually_within("handles come back", Duration::from_secs(10), || {
        watch.files() <= idle_files + POOLED_HANDLES
    });
}

/// What the targets' placeholders stand for.
struct Place {
    error_id: String,
    csrf_token: String,
    address: String,
}

/// A request, whole.
struct Target {
    name: String,
    request: Vec<u8>,
    /// True where the answer has no end.
    is_endless: bool,
}

impl Place {
    /// Events, and errors of almost a megabyte each.
    fn prepare(folder: &Folder, up: &Running) -> Place {
        folder.generate("events.ndjson", &["--rows", "10000", "--seed", "5", "--bad", "0.02"]);
        let events = std::fs::read(folder.join("events.ndjson")).unwrap();
        assert_eq!(up.request("POST", "/v1/events", &events).0, 202);
        for number in 0..8 {
            let long =
                |n: usize| format!("{{\"id\":\"long-{number}-{n}\",\"x\":\"{}\n", "\u{1}".repeat(900_000));
            let body: String = (0..6).map(long).collect();
            let (status, answer) = up.request("POST", "/v1/events", body.as_bytes());
            assert_eq!(status, 202, "{answer}");
        }
        let first_long = || -> Option<String> {
            let (_, answer) = up.request("GET", "/api/dlq/errors?limit=200", b"");
            let page: serde_json::Value = serde_json::from_str(&answer).ok()?;
            let is_long = |error: &&serde_json::Value| error["payload_bytes"].as_u64() > Some(800_000);
            let long = page["errors"].as_array()?.iter().find(is_long)?;
            Some(long["error_id"].as_str()?.to_owned())
        };
        eventually("the errors are stored", || {
            let (_, answer) = up.request("GET", "/api/dlq/count?text=long-", b"");
            let count = answer.split("\"count\":").nth(1).and_then(|rest| rest.split(',').next());
            count.and_then(|count| count.parse::<u64>().ok()).is_some_and(|count| count >= 48)
        });
        let (_, page) = up.request("GET", "/", b"");
        let (_, rest) = page.split_once("name=\"csrf-token\" content=\"").unwrap();
        Place {
            error_id: first_long().expect("a long error is among the newest"),
            csrf_token: rest.split_once('"').unwrap().0.to_owned(),
            address: up.address.clone(),
        }
    }

    /// The requests that a route understands: asking, acting, or both.
    fn targets(&self, route: &str) -> Vec<Target> {
        let path = route
            .replace("/static/{name}", "/static/dags.js")
            .replace("/dlq/errors/{id}", &format!("/dlq/errors/{}", self.error_id))
            .replace("{dag}", "dag_daily_etl")
            .replace("{run}", "none")
            .replace("{id}", "none");
        let query = match route {
            "/api/dlq/errors" => "?limit=200",
            "/api/dlq/count" => "?text=nowhere",
            "/api/quality/failures" => "?test=none",
            "/api/files/report" => "?path=none&content=none&reading=1",
            "/api/dags/{dag}/runs/{run}/log" => "?task=none&try=1",
            "/api/operations/charts" => "?range=24h",
            "/api/overview" => "?range=30d",
            _ => "",
        };
        let get = self.target("GET", &format!("{path}{query}"), "");
        let post = match route {
            "/v1/events" => self.target("POST", &path, EVENT),
            _ => {
                // A body of some size: it is received, held, and found to be wrong.
                let patch = "x".repeat(60_000);
                self.target("POST", &path, &format!("{{\"ids\":[],\"patch\":\"{patch}\"}}"))
            }
        };
        [get, post].into_iter().filter(|target| self.status(target) != 405).collect()
    }

    fn target(&self, method: &str, path: &str, body: &str) -> Target {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nX-Csrf-Token: {}\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{body}",
            self.address,
            self.csrf_token,
            body.len()
        );
        Target {
            name: format!("{method} {}", path.split('?').next().unwrap().replace(&self.error_id, "ID")),
            request: request.into_bytes(),
            is_endless: path == "/live",
        }
    }

    fn status(&self, target: &Target) -> u16 {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.write_all(&target.request).unwrap();
        read_status(&mut stream, target)
    }
}

/// A thousand connections, each with its request sent; nothing is read.
fn connect_all(up: &Running, targets: &[Target]) -> Vec<TcpStream> {
    let mut clients = Vec::with_capacity(CLIENTS);
    for number in 0..CLIENTS {
        let Ok(mut stream) = TcpStream::connect(&up.address) else { continue };
        let _ = stream.set_write_timeout(Some(Duration::from_secs(5)));
        let _ = stream.write_all(&targets[number % targets.len()].request);
        clients.push(stream);
    }
    clients
}

/// A thousand connections whose answers are read to their end; how many came of each status.
fn read_all(up: &Running, targets: &[Target]) -> BTreeMap<u16, usize> {
    let clients = connect_all(up, targets);
    let mut numbered: Vec<(usize, TcpStream)> = clients.into_iter().enumerate().collect();
    let part = numbered.len().div_ceil(16);
    let mut answers = BTreeMap::new();
    std::thread::scope(|scope| {
        let mut readers = Vec::new();
        while !numbered.is_empty() {
            let mine = numbered.split_off(numbered.len().saturating_sub(part));
            readers.push(scope.spawn(move || {
                let read = |(number, mut stream): (usize, TcpStream)| {
                    read_status(&mut stream, &targets[number % targets.len()])
                };
                mine.into_iter().map(read).collect::<Vec<u16>>()
            }));
        }
        for status in readers.into_iter().flat_map(|reader| reader.join().unwrap()) {
            *answers.entry(status).or_default() += 1;
        }
    });
    answers
}

/// Reads an answer to its end and gives its status; 0 when there is none.
fn read_status(stream: &mut TcpStream, target: &Target) -> u16 {
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut start = Vec::new();
    let mut piece = vec![0; 64 << 10];
    while let Ok(count @ 1..) = stream.read(&mut piece) {
        if start.len() < 16 {
            start.extend_from_slice(&piece[..count]);
        }
        if target.is_endless {
            break;
        }
    }
    String::from_utf8_lossy(&start).split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

/// Posts an event as somebody else; how long it took.
fn honest_post(up: &Running) -> Duration {
    let asked = Instant::now();
    let answer = try_post(&up.address, Some("127.0.0.2"), EVENT.as_bytes()).unwrap();
    let took = asked.elapsed();
    assert_eq!(answer.status, 202, "{answer:?}");
    assert_in_time("an honest post", took, HONEST);
    took
}

/// Posts from an address of this machine; none when the connection breaks.
fn try_post(to: &str, from: Option<&str>, body: &[u8]) -> Option<Answer> {
    let stream = from.map_or_else(|| TcpStream::connect(to), |from| connect_from(from, to)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
    raw_http::send_on(stream, "POST", "/v1/events", &[("Content-Type", "application/x-ndjson")], body)
}

/// The standard library binds no address before it connects.
fn connect_from(from: &str, to: &str) -> std::io::Result<TcpStream> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind(format!("{from}:0").parse().unwrap())?;
        socket.connect(to.parse().unwrap()).await?.into_std()
    })?;
    stream.set_nonblocking(false)?;
    Ok(stream)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The same command with fewer open files allowed.
fn limited(command: Command, files: u32) -> Command {
    let mut limited = Command::new("sh");
    limited.arg("-c").arg(format!("ulimit -n {files} && exec \"$0\" \"$@\"")).arg(ADPIPE);
    limited.args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    limited.current_dir(command.get_current_dir().unwrap());
    limited
}

/// Looks at memory and open files of the process all the time.
struct Watch {
    pid: u32,
    peak_mb: AtomicU64,
    peak_files: AtomicU64,
    ended: AtomicBool,
}

impl Watch {
    fn of(up: &Running) -> Watch {
        Watch {
            pid: up.child.id(),
            peak_mb: AtomicU64::new(0),
            peak_files: AtomicU64::new(0),
            ended: AtomicBool::new(false),
        }
    }

    fn memory_mb(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1_024
    }

    fn files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid)).unwrap().count()
    }

    fn run(&self) {
        while !self.ended.load(Ordering::Relaxed) {
            self.peak_mb.fetch_max(self.memory_mb(), Ordering::Relaxed);
            self.peak_files.fetch_max(self.files() as u64, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until memory no longer grows, but not for long.
    fn settle(&self) {
        let (started, mut since, mut newest) = (Instant::now(), Instant::now(), self.memory_mb());
        while since.elapsed() < Duration::from_millis(100) && started.elapsed() < Duration::from_millis(800) {
            std::thread::sleep(Duration::from_millis(10));
            let memory_mb = self.memory_mb();
            if memory_mb > newest {
                (since, newest) = (Instant::now(), memory_mb);
            }
        }
    }

    /// A line of the table, and the peaks again.
    fn print(&self, clients: &str, honest: Duration, answers: &BTreeMap<u16, usize>) {
        let (mb, files) =
            (self.peak_mb.swap(0, Ordering::Relaxed), self.peak_files.swap(0, Ordering::Relaxed));
        println!("{clients:<58} {mb:>8} {files:>7} {:>5} ms  {answers:?}", honest.as_millis());
        assert!(mb < MEMORY_MB, "{clients}: {mb} MB");
    }
}

/// Ends the watch, also when the test fails.
struct EndsWatch<'w>(&'w Watch);

impl Drop for EndsWatch<'_> {
    fn drop(&mut self) {
        self.0.ended.store(true, Ordering::Relaxed);
    }
}

/// Turns true when the test ends, however it does.
struct Ends<'e>(&'e AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
