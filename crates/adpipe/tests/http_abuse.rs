//! What strangers may do to the port: the process stays small and keeps serving.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use adpipe_testkit::raw_http::Answer;
use adpipe_testkit::{assert_in_time, eventually};
use common::{Folder, Running};

/// What `adpipe up` may take under load.
const MEMORY_MB: u64 = 300;

const EVENT: &str = r#"{"id":"ID","click":0,"hour":"14102100","banner_pos":0,"site_id":"a","site_domain":"b","site_category":"c","app_id":"d","app_domain":"e","app_category":"f","device_id":"g","device_ip":"h","device_model":"i","device_type":1,"device_conn_type":0}"#;

fn serves(up: &Running, id: &str) {
    let (status, answer) = up.request("POST", "/v1/events", EVENT.replace("ID", id).as_bytes());
    assert_eq!(status, 202, "{answer}");
    assert_eq!(up.request("GET", "/healthz", b"").0, 200);
}

fn head(up: &Running, length: &str) -> String {
    format!("POST /v1/events HTTP/1.1\r\nHost: {}\r\n{length}\r\n\r\n", up.address)
}

#[test]
fn a_gigabyte_of_garbage_is_refused_and_costs_nothing() {
    let folder = Folder::new();
    let up = Running::start(folder.adpipe(&["up"]));

    // Announced: refused before it is sent.
    let mut connection = TcpStream::connect(&up.address).unwrap();
    connection.write_all(head(&up, "Content-Length: 1073741824").as_bytes()).unwrap();
    assert_eq!(Answer::read(&mut connection).status, 413);

    // In pieces, with no end announced: cut off where the limit is, whatever the sender does.
    let mut connection = TcpStream::connect(&up.address).unwrap();
    connection.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
    connection.write_all(head(&up, "Transfer-Encoding: chunked").as_bytes()).unwrap();
    let piece = [b"100000\r\n".as_slice(), &vec![0xE7; 0x10_0000], b"\r\n"].concat();
    let mut sent = 0u64;
    while sent < 1 << 30 && connection.write_all(&piece).is_ok() {
        sent += 0x10_0000;
    }
    assert!(sent < 1 << 28, "{sent} bytes were taken");
    serves(&up, "1");
    assert!(up.memory_mb() < MEMORY_MB, "{} MB", up.memory_mb());
}

#[test]
fn garbage_within_the_limit_is_kept_as_errors() {
    let folder = Folder::new();
    let up = Running::start(folder.adpipe(&["up"]));
    let line = [b"{\"id\":".as_slice(), &[0xFF; 990], b"\n"].concat();
    let (status, answer) = up.request("POST", "/v1/events", &line.repeat(4_000));
    assert_eq!(status, 202, "{answer}");
    eventually("the garbage is in error", || folder.account()["parse"] == 4_000);
    let verdict = folder.run(&["verify"]);
    assert!(verdict.contains("zero residue"), "{verdict}");
}

#[test]
fn slow_and_many_clients_do_not_stop_the_others() {
    let folder = Folder::new();
    let up = Running::start(folder.adpipe(&["up"]));

    // Five hundred that hold the port: some send a head and a byte now and then, some a large part
    // of a body, some nothing at all.
    let large = vec![b'x'; 400 << 10];
    let mut holders: Vec<TcpStream> = (0..500)
        .map(|number| {
            let mut connection = TcpStream::connect(&up.address).unwrap();
            connection.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
            match number % 3 {
                0 => connection.write_all(head(&up, "Content-Length: 8000000").as_bytes()).unwrap(),
                1 => {
                    connection.write_all(head(&up, "Content-Length: 8000000").as_bytes()).unwrap();
                    let _ = connection.write_all(&large);
                }
                _ => {}
            }
            connection
        })
        .collect();
    let started = Instant::now();
    let mut request = 0;
    while started.elapsed() < Duration::from_secs(4) {
        for holder in holders.iter_mut().step_by(3) {
            let _ = holder.write_all(b"x");
        }
        request += 1;
        let asked = Instant::now();
        serves(&up, &format!("while-held-{request}"));
        assert_in_time("a post beside those that hold the port", asked.elapsed(), Duration::from_secs(5));
        // Those that hold the port send a byte now and then.
        std::thread::sleep(Duration::from_millis(500));
    }
    assert!(up.memory_mb() < MEMORY_MB, "{} MB", up.memory_mb());
    drop(holders);
    serves(&up, "afterwards");
}

#[test]
fn memory_stays_small_under_load() {
    let folder = Folder::new();
    folder.generate("events.ndjson", &["--rows", "400000", "--seed", "11"]);
    let events = std::fs::read(folder.join("events.ndjson")).unwrap();
    let lines: Vec<&[u8]> = events.split_inclusive(|byte| *byte == b'\n').collect();
    let bodies: Vec<Vec<u8>> = lines.chunks(2_000).map(|chunk| chunk.concat()).collect();
    let up = Running::start(folder.adpipe(&["up"]));
    std::thread::scope(|scope| {
        for client in 0..4 {
            let (up, bodies) = (&up, &bodies);
            scope.spawn(move || {
                for body in bodies.iter().skip(client).step_by(4) {
                    while up.request("POST", "/v1/events", body).0 != 202 {
                        std::thread::sleep(Duration::from_millis(20));
                    }
                }
            });
        }
    });
    eventually("everything is committed", || folder.account()["valid"] == 400_000);
    println!("peak memory {} MB", up.memory_mb());
    assert!(up.memory_mb() < MEMORY_MB, "{} MB", up.memory_mb());
}
