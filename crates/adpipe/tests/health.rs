//! `adpipe health` says whether a process answers, in whichever role it runs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener};
use std::process::Output;

use adpipe_testkit::{eventually, free_port};
use common::{Folder, Killed, Running, shown};

fn health(folder: &Folder, settings: &[(&str, &str)], arguments: &[&str]) -> Output {
    let mut command = folder.adpipe(&["health"]);
    command.args(arguments).envs(settings.iter().copied()).output().unwrap()
}

#[test]
fn the_console_answers_also_where_it_listens_on_all_addresses_and_wants_a_token() {
    let folder = Folder::new();
    let port = free_port().to_string();
    let settings = [
        ("ADPIPE_CONSOLE__HOST", "0.0.0.0"),
        ("ADPIPE_CONSOLE__PORT", port.as_str()),
        ("ADPIPE_CONSOLE__TOKEN", "sixteen-characters-at-least"),
    ];
    let before = health(&folder, &settings, &[]);
    assert_eq!(before.status.code(), Some(1), "{}", shown(&before));
    let words = String::from_utf8_lossy(&before.stderr);
    assert!(words.contains("no adpipe process answers") && words.contains(&port), "{words}");

    let mut command = folder.adpipe(&["up"]);
    command.envs(settings);
    let _running = Running::start(command);
    let output = health(&folder, &settings, &[]);
    assert!(output.status.success(), "{}", shown(&output));
    let output = health(&folder, &settings, &["--json"]);
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["healthy"], true, "{said}");
}

#[test]
fn a_role_without_a_console_answers_on_its_port_of_figures() {
    let folder = Folder::new();
    let (console, metrics) = (free_port().to_string(), free_port().to_string());
    let settings = [("ADPIPE_CONSOLE__PORT", console.as_str()), ("ADPIPE_METRICS__PORT", metrics.as_str())];
    let mut command = folder.adpipe(&["run", "dlq"]);
    let mut role = Killed(command.envs(settings).spawn().unwrap());
    eventually("the role is healthy", || health(&folder, &settings, &[]).status.success());
    role.0.kill().unwrap();
    role.0.wait().unwrap();
    let output = health(&folder, &settings, &["--json"]);
    assert_eq!(output.status.code(), Some(1), "{}", shown(&output));
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&said["healthy"], said["failures"].as_array().unwrap().len()), (&false.into(), 2), "{said}");
}

#[test]
fn another_program_on_the_port_is_not_taken_for_adpipe() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = BufReader::new(connection.unwrap());
            // The whole head, however many pieces it comes in, and then the end of the connection: a
            // server that closes earlier breaks the pipe of the client that still writes.
            let mut line = String::new();
            while line != "\r\n" {
                line.clear();
                assert!(connection.read_line(&mut line).unwrap() > 0, "a request without an end");
            }
            connection.get_ref().write_all(b"HTTP/1.0 200 OK\r\n\r\nhello").unwrap();
            connection.get_ref().shutdown(Shutdown::Write).unwrap();
            let _ = connection.read_to_end(&mut Vec::new());
        }
    });
    let output = health(&Folder::new(), &[("ADPIPE_CONSOLE__PORT", &port)], &[]);
    assert_eq!(output.status.code(), Some(1), "{}", shown(&output));
    assert!(String::from_utf8_lossy(&output.stderr).contains("another program"), "{}", shown(&output));
}
