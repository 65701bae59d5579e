//! What comes from data does not drive a terminal: the real binary on a pseudo-terminal, which
//! `script` (util-linux) makes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use adpipe_testkit::eventually;
use common::{ADPIPE, Folder, without_test_settings};

/// Clears the screen, by C0 and by C1; turns the direction of text; rings; ends the line.
const NASTY: &str = "x\u{1b}[2Jy\u{9b}2J\u{202e}z\u{2066}\u{7}\u{7f}\rw";

/// `script` with a terminal for adpipe with these arguments, after what the shell does first.
fn terminal(folder: &Folder, first: &str, arguments: &[&str]) -> Command {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
    let data = folder.join("data");
    let all = [ADPIPE, "--data", data.to_str().unwrap()].into_iter().chain(arguments.iter().copied());
    let line: Vec<String> = all.map(quoted).collect();
    let mut command = Command::new("script");
    command
        .args(["-qec", &format!("{first}{}", line.join(" ")), "/dev/null"])
        .current_dir(folder.path())
        .env("NO_COLOR", "1")
        .env("TERM", "xterm")
        .env("ADPIPE_CONSOLE__PORT", "0")
        .env("XDG_STATE_HOME", folder.join("state"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    without_test_settings(&mut command);
    command
}

/// What the terminal gets.
fn on_terminal(folder: &Folder, arguments: &[&str]) -> String {
    let output = terminal(folder, "", arguments).stdin(Stdio::null()).output().expect("script");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn assert_harmless(text: &str, what: &str) {
    // The terminal itself makes \r\n of a line's end.
    let text = text.replace("\r\n", "\n");
    let driving = |c: char| {
        (c.is_control() && c != '\n' && c != '\t')
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    assert!(!text.contains(driving), "{what}: {text:?}");
}

/// The time that etl prints is that of the whole command, and what it and `verify` do is shown step by
/// step: no part of the work passes under a bar that stands at its end.
#[test]
fn long_commands_show_all_of_their_work() {
    let folder = Folder::new();
    std::fs::create_dir_all(folder.join("data/raw")).unwrap();
    folder.generate("data/raw/day.csv", &["--rows", "200000", "--format", "csv", "--seed", "5"]);
    let started = Instant::now();
    let told = on_terminal(&folder, &["etl"]);
    let wall = started.elapsed().as_secs_f64();
    let printed = told.rsplit(" in ").find_map(|text| text.split_once(" s (")?.0.parse::<f64>().ok());
    let printed = printed.unwrap_or_else(|| panic!("{told}"));
    // Most of the time went into filling realtime.events, after the last row of the file.
    assert!(printed > wall * 0.5 && printed < wall + 0.1, "{printed} of {wall}: {told}");
    for step in ["step 2 of 7, reading raw files: day.csv", "step 4 of 7, filling realtime.events"] {
        assert!(told.contains(step), "{step}: {told}");
    }
    assert!(!told.contains("about 0 s") && told.contains("of 200,000 events"), "{told}");
    folder.generate("more.ndjson", &["--rows", "100000", "--seed", "6"]);
    folder.run(&["ingest", "--wait", "more.ndjson"]);
    let told = on_terminal(&folder, &["verify", "--deep"]);
    for step in ["recounting the records of the log", "of 100,000 records", "contents of events"] {
        assert!(told.contains(step), "{step}: {told}");
    }
}

#[test]
fn data_does_not_drive_a_terminal() {
    let folder = Folder::new();
    let record =
        format!("{{\"id\":\"1\",\"click\":\"{}\",\"hour\":\"14102100\"}}", "\u{1b}[2J\u{9b}\u{202e}");
    let mut file = format!("{record}\n").into_bytes();
    file.extend_from_slice(NASTY.as_bytes());
    file.push(b'\n');
    std::fs::write(folder.join("nasty.ndjson"), &file).unwrap();
    folder.run(&["ingest", "--wait", "nasty.ndjson"]);
    let listed = folder.run(&["dlq", "list", "--json"]);
    let ids: Vec<String> = listed
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["error_id"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(ids.len(), 2);

    let sql = format!("select '{NASTY}' as a, '{NASTY}' as \"{NASTY}\", 'x' || char(10) || 'y' as lines");
    let mut looks: Vec<Vec<&str>> = vec![
        vec!["dlq", "list"],
        vec!["dlq", "list", "--json"],
        vec!["dlq", "stats"],
        vec!["dlq", "stats", "--json"],
        vec!["dlq", "export"],
        vec!["sql", &sql],
        vec!["sql", "--format", "csv", &sql],
        vec!["sql", "--json", &sql],
        vec!["sql", "select raw_payload, cast(raw_payload as text) from errors.dlq_errors"],
        // An error about what was typed.
        vec!["sql", "select \u{1b}[2J"],
        vec!["dlq", "show", "\u{1b}[2J"],
        vec!["dlq", "edit", &ids[0], "--set", "click=8", "--dry-run"],
    ];
    for id in &ids {
        looks.push(vec!["dlq", "show", id]);
        looks.push(vec!["dlq", "show", id, "--payload"]);
        looks.push(vec!["dlq", "show", id, "--json"]);
    }
    for look in &looks {
        let shown = on_terminal(&folder, look);
        assert!(!shown.trim().is_empty(), "{look:?}");
        assert_harmless(&shown, &format!("{look:?}"));
    }
    let shown = on_terminal(&folder, &["sql", &sql]);
    assert!(shown.contains("x\\u001b[2Jy\\u009b2J\\u202ez") && shown.contains("x\\ny"), "{shown}");
    // A file gets the bytes.
    let exact = folder.run(&["sql", "--format", "csv", "--exact", &format!("select '{NASTY}' as a")]);
    assert_eq!(exact, format!("a\n\"{NASTY}\"\n"));
    let payloads: Vec<String> = ids.iter().map(|id| folder.run(&["dlq", "show", id, "--payload"])).collect();
    assert!(payloads.contains(&NASTY.to_owned()) && payloads.contains(&record));
    // A table is for people wherever it goes.
    assert!(!folder.run(&["sql", &sql]).contains('\u{1b}'));
}

/// What a terminal of so many columns gets when this is typed.
fn typed(folder: &Folder, columns: u32, arguments: &[&str], input: &str) -> String {
    let resized = format!("stty cols {columns} rows 40; ");
    let mut child = terminal(folder, &resized, arguments).spawn().expect("script");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&output.stdout).replace("\r\n", "\n")
}

fn with_an_event() -> Folder {
    let folder = Folder::new();
    folder.generate("events.ndjson", &["--rows", "10", "--seed", "1"]);
    folder.run(&["ingest", "--wait", "events.ndjson"]);
    folder
}

#[test]
fn a_table_fits_the_terminal() {
    let folder = with_an_event();
    let wide = format!("select 1 as n, '{}' as long, '{}' as korean", "x".repeat(300), "가".repeat(30));
    let shown = typed(&folder, 60, &["sql", &wide], "");
    let table: Vec<&str> = shown.lines().filter(|line| line.contains('…')).collect();
    assert!(table.len() == 1 && table[0].chars().count() <= 60, "{shown}");
    assert!(shown.contains("--format vertical shows them in full"), "{shown}");
    let whole = typed(&folder, 60, &["sql", "select * from realtime.events limit 1"], "");
    assert!(whole.contains("-[ row 1 ]-") && whole.contains("device_model     |"), "{whole}");
    // Elsewhere nothing is cut.
    assert!(folder.run(&["sql", &wide]).contains(&"x".repeat(300)));
}

#[test]
fn the_shell_edits_lines_and_keeps_a_history() {
    let folder = with_an_event();
    let mut child = terminal(&folder, "", &["sql"]).spawn().expect("script");
    let (mut keyboard, mut screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let shown = Arc::new(Mutex::new(String::new()));
    let seen = Arc::clone(&shown);
    let reader = std::thread::spawn(move || {
        let mut bytes = [0; 4_096];
        while let Ok(count @ 1..) = screen.read(&mut bytes) {
            seen.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
    });
    let steps = [
        // What is typed, and what is shown before the shell asks for more.
        ("", "it only reads"),
        ("select count(*) + 990 as events", "     -> "),
        ("from realtime.events;", "1000"),
        ("selekt;", "syntax error"),
        ("\\d", "realtime.metrics_5m"),
        ("\\x", "a line for each value"),
        ("select 7 as n;", "n | 7"),
    ];
    for (line, expected) in steps {
        if !line.is_empty() {
            writeln!(keyboard, "{line}").unwrap();
        }
        eventually(&format!("{expected} is shown"), || {
            let shown = shown.lock().unwrap();
            let after = shown.find(expected).map(|at| &shown[at..]);
            after.is_some_and(|after| after.contains("adpipe> ") || after.contains("     -> "))
        });
    }
    writeln!(keyboard, "\\q").unwrap();
    assert!(child.wait().unwrap().success());
    reader.join().unwrap();
    let history = folder.join("state/adpipe/sql_history");
    let kept = std::fs::read_to_string(&history).unwrap();
    assert!(kept.contains("select count(*) + 990 as events") && kept.contains("selekt;"), "{kept}");
    let mode = std::fs::metadata(&history).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "{mode:o}: readable by nobody else");
}
