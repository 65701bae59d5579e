//! Full disk, no rights, damaged and locked files, a port in use: a clear message, no loss, no panic.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use adpipe_testkit::eventually;
use common::{ADPIPE, Folder, Running, shown};

#[test]
fn a_full_disk_loses_nothing_that_was_acknowledged() {
    let folder = Folder::new();
    folder.generate("events.csv", &["--rows", "200000", "--seed", "3", "--format", "csv"]);
    // A file may not grow beyond 6,000 blocks of 512 bytes: to SQLite it is a disk that is full.
    let script = format!("trap '' XFSZ; ulimit -f 6000; exec {ADPIPE} --data data ingest events.csv");
    let output = Command::new("sh").args(["-c", &script]).current_dir(folder.path()).output().unwrap();
    let words = shown(&output);
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(!words.contains("panicked"), "{words}");
    assert!(words.contains("log.db"), "{words}");

    // Room again: the same command continues, and each row is counted once.
    let counted = folder.run(&["ingest", "--wait", "events.csv"]);
    assert_eq!(folder.account()["valid"], 200_000, "{counted}");
    assert_eq!(folder.account()["duplicates"], 0, "{counted}");
    folder.run(&["verify"]);
}

#[test]
fn a_warehouse_that_is_full_is_waited_out() {
    let folder = Folder::new();
    folder.generate("events.csv", &["--rows", "100000", "--seed", "4", "--format", "csv"]);
    folder.run(&["ingest", "events.csv"]);
    // The log is written; now only the warehouse has no room.
    let script = format!("trap '' XFSZ; ulimit -f 12000; exec timeout 3 {ADPIPE} --data data up");
    let output = Command::new("sh")
        .args(["-c", &script])
        .current_dir(folder.path())
        .env("ADPIPE_CONSOLE__PORT", "0")
        .output()
        .unwrap();
    let words = shown(&output);
    assert!(!words.contains("panicked"), "{words}");
    assert!(words.contains("the warehouse cannot be used"), "{words}");

    let _up = Running::start(folder.adpipe(&["up"]));
    eventually("everything is committed", || folder.account()["records"] == 100_000);
    assert_eq!(folder.account()["valid"], 100_000);
    folder.run(&["verify"]);
}

#[test]
fn a_folder_without_rights_is_named() {
    let folder = Folder::new();
    std::fs::create_dir(folder.join("data")).unwrap();
    std::fs::set_permissions(folder.join("data"), std::fs::Permissions::from_mode(0o555)).unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    // Rights do not bind root, so that the program has to be somebody else then.
    let program = folder.join("adpipe");
    std::fs::copy(ADPIPE, &program).unwrap();
    let is_root =
        String::from_utf8_lossy(&Command::new("id").arg("-u").output().unwrap().stdout).trim() == "0";
    let mut command = if is_root {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(&program);
        command
    } else {
        Command::new(&program)
    };
    let output =
        command.args(["--data", "data", "ingest", "/dev/null"]).current_dir(folder.path()).output().unwrap();
    let words = shown(&output);
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(words.contains("data") && words.contains("may read and write"), "{words}");
    assert!(!words.contains("panicked"), "{words}");
}

#[test]
fn damaged_log_files_are_told_with_what_to_do() {
    let folder = Folder::new();
    folder.generate("events.csv", &["--rows", "50000", "--seed", "5", "--format", "csv"]);
    folder.run(&["ingest", "--wait", "events.csv"]);
    let log = folder.join("data/log.db");
    let sound = std::fs::read(&log).unwrap();
    let _ = std::fs::remove_file(folder.join("data/log.db-wal"));

    std::fs::write(&log, &sound[..sound.len() / 2]).unwrap();
    let words = folder.fail(1, &["verify"]);
    assert!(words.contains("log.db") && words.contains("restore the file"), "{words}");

    let mut damaged = sound.clone();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 4_000].fill(0xA5);
    std::fs::write(&log, &damaged).unwrap();
    let report = folder.adpipe(&["doctor"]).output().unwrap();
    assert_eq!(report.status.code(), Some(1), "{}", shown(&report));
    assert!(
        shown(&report).contains("BAD") && shown(&report).contains("restore the file"),
        "{}",
        shown(&report)
    );

    // What was committed before the damage is still there.
    std::fs::write(&log, &sound).unwrap();
    folder.run(&["verify"]);
}

#[test]
fn a_locked_warehouse_is_waited_for() {
    let folder = Folder::new();
    folder.generate("events.ndjson", &["--rows", "1000", "--seed", "6"]);
    folder.run(&["ingest", "--wait", "events.ndjson"]);
    folder.generate("more.ndjson", &["--rows", "1000", "--seed", "7"]);
    let other = rusqlite::Connection::open(folder.join("data/realtime.db")).unwrap();
    other.execute_batch("begin immediate").unwrap();
    let mut waiting = folder.adpipe(&["ingest", "--wait", "more.ndjson"]).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(7)); // longer than SQLite's own patience
    assert!(waiting.try_wait().unwrap().is_none(), "it must wait");
    other.execute_batch("rollback").unwrap();
    assert!(waiting.wait().unwrap().success());
    assert_eq!(folder.account()["valid"], 2_000);
}

#[test]
fn a_port_in_use_is_named() {
    let folder = Folder::new();
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port().to_string();
    let output = folder.adpipe(&["up"]).env("ADPIPE_CONSOLE__PORT", &port).output().unwrap();
    let words = shown(&output);
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(words.contains(&port) && words.contains("console.port"), "{words}");
}

#[test]
fn a_second_up_on_the_same_folder_is_refused() {
    let folder = Folder::new();
    let _up = Running::start(folder.adpipe(&["up"]));
    let words = folder.fail(1, &["up"]);
    assert!(words.contains("another adpipe already processes"), "{words}");
}

#[test]
fn a_log_that_was_moved_away_or_restored_loses_nothing_new() {
    let folder = Folder::new();
    for (file, seed) in [("a.ndjson", "1"), ("b.ndjson", "2"), ("c.ndjson", "3")] {
        folder.generate(file, &["--rows", "3000", "--seed", seed]);
    }
    folder.run(&["ingest", "--wait", "a.ndjson"]);
    std::fs::copy(folder.join("data/log.db"), folder.join("copy.db")).unwrap();
    folder.run(&["ingest", "--wait", "b.ndjson"]);

    // An older copy: what it lacks is counted already, what comes is new.
    std::fs::copy(folder.join("copy.db"), folder.join("data/log.db")).unwrap();
    folder.run(&["ingest", "--wait", "c.ndjson"]);
    assert_eq!(folder.account()["valid"], 9_000);
    folder.run(&["verify"]);

    // None at all.
    std::fs::remove_file(folder.join("data/log.db")).unwrap();
    folder.generate("d.ndjson", &["--rows", "3000", "--seed", "4"]);
    folder.run(&["ingest", "--wait", "d.ndjson"]);
    assert_eq!(folder.account()["valid"], 12_000);
    folder.run(&["verify"]);
}

#[test]
fn a_lost_warehouse_is_rebuilt_from_the_log() {
    let folder = Folder::new();
    let made = folder.generate("a.ndjson", &["--rows", "5000", "--bad", "0.02", "--duplicates", "0.02"]);
    folder.run(&["ingest", "--wait", "a.ndjson"]);
    std::fs::remove_file(folder.join("data/realtime.db")).unwrap();
    folder.run(&["ingest", "--wait", "/dev/null"]);
    assert_eq!(folder.account(), made);
    folder.run(&["verify"]);
}

#[test]
fn the_proof_holds_while_events_keep_coming() {
    let folder = Folder::new();
    let demo = folder.adpipe(&["demo", "--days", "1", "--events-a-day", "20000", "--rate", "2000"]);
    let _demo = Running::start(demo);
    for _ in 0..5 {
        let verdict = folder.run(&["verify"]);
        assert!(verdict.contains("zero residue"), "{verdict}");
    }
}
