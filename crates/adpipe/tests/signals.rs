//! Ctrl-C and SIGTERM end every command in less than two seconds, whatever keeps it busy, and
//! nothing is half-written afterwards.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use adpipe_testkit::{allowance, eventually, eventually_some};
use common::{ADPIPE, Folder, Killed, adpipe_in};

/// What is due to a command that is asked to end, with all tests of this file at work beside it.
const DUE: Duration = Duration::from_secs(8);

const SIGNALS: [(&str, i32); 2] = [("INT", 130), ("TERM", 143)];

/// What a command is doing when it is asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Busy {
    /// It waits for a warehouse that another program has locked.
    Locked,
    /// It plays its role; its first line says that it does.
    Serving,
    /// It has a test of its own below.
    Below,
    /// It does nothing that lasts.
    Brief,
}

/// Every command of the command line: what it is started with, and how it is kept busy.
const COMMANDS: &[(&str, &[&str], Busy)] = &[
    ("demo", &["--rate", "100", "--days", "1"], Busy::Serving),
    ("up", &[], Busy::Serving),
    ("run", &["stream"], Busy::Serving),
    ("ingest", &[], Busy::Below),
    ("etl", &[], Busy::Below),
    ("generate", &[], Busy::Below),
    ("sql", &[], Busy::Below),
    ("bench", &[], Busy::Below),
    ("verify", &[], Busy::Locked),
    ("doctor", &[], Busy::Locked),
    // Nobody answers it.
    ("health", &[], Busy::Brief),
    ("backup", &["copy"], Busy::Locked),
    // It needs no warehouse; backup.rs stops it.
    ("restore", &["copy"], Busy::Below),
    ("stores", &[], Busy::Locked),
    ("stores accept", &["ops"], Busy::Locked),
    ("rebuild", &[], Busy::Locked),
    ("config show", &[], Busy::Brief),
    ("completions", &["bash"], Busy::Brief),
    ("man", &[], Busy::Brief),
    // Between the scheduler and a task; it is ended by its standard input.
    ("task-process", &["--grace-ms", "1", "--process-file", "p", "true"], Busy::Brief),
    ("dlq list", &[], Busy::Locked),
    ("dlq show", &["x"], Busy::Locked),
    ("dlq stats", &[], Busy::Locked),
    ("dlq retry", &["x"], Busy::Locked),
    ("dlq edit", &["x", "--set", "click=1"], Busy::Locked),
    ("dlq discard", &["x", "--reason", "test"], Busy::Locked),
    ("dlq undo", &["x"], Busy::Locked),
    ("dlq export", &[], Busy::Locked),
    ("dlq import", &["-"], Busy::Locked),
    ("dlq jobs", &[], Busy::Locked),
    ("dlq cancel", &["x"], Busy::Locked),
    ("dlq check", &[], Busy::Locked),
    ("alerts list", &[], Busy::Locked),
    ("alerts history", &[], Busy::Locked),
    ("alerts check", &[], Busy::Locked),
    ("alerts rules", &[], Busy::Brief),
    ("alerts ack", &["x"], Busy::Locked),
    ("alerts silence", &["--all", "--for", "1h"], Busy::Locked),
    ("alerts unsilence", &["x"], Busy::Locked),
    ("alerts silences", &[], Busy::Locked),
    ("alerts test-notify", &[], Busy::Below),
    ("alerts summary", &[], Busy::Locked),
    ("transform run", &[], Busy::Locked),
    ("transform test", &[], Busy::Locked),
    ("transform build", &[], Busy::Locked),
    ("transform freshness", &[], Busy::Locked),
    ("transform docs", &[], Busy::Locked),
    ("transform export", &["project"], Busy::Brief),
    ("transform ls", &[], Busy::Brief),
    ("transform show", &["no_missing_hours"], Busy::Locked),
    // They need no warehouse.
    ("topic create", &[], Busy::Brief),
    ("topic list", &[], Busy::Brief),
    ("topic show", &["ad_events_raw"], Busy::Brief),
    ("dag list", &[], Busy::Locked),
    ("dag run", &["dag_daily_etl"], Busy::Locked),
    ("dag backfill", &["dag_daily_etl", "--from", "2026-01-01", "--to", "2026-01-02"], Busy::Locked),
    ("dag runs", &[], Busy::Locked),
    ("dag logs", &["dag_daily_etl", "--follow"], Busy::Locked),
    ("dag retry", &["dag_daily_etl"], Busy::Locked),
    ("dag cancel", &["dag_daily_etl"], Busy::Locked),
];

/// The commands that clap knows, as the names of their manual pages: `dlq-list`.
fn known_commands() -> Vec<String> {
    let folder = Folder::new();
    let status = Command::new(ADPIPE).args(["man", "--out"]).arg(folder.path()).status().unwrap();
    assert!(status.success());
    let pages = std::fs::read_dir(folder.path()).unwrap();
    let name = |page: std::io::Result<std::fs::DirEntry>| page.unwrap().file_name().into_string().unwrap();
    let mut known: Vec<String> = pages
        .map(name)
        .filter_map(|page| Some(page.strip_prefix("adpipe-")?.strip_suffix(".1")?.to_owned()))
        .collect();
    let all = known.clone();
    // `stores` does something by itself.
    let is_group = |command: &String| {
        command != "stores" && all.iter().any(|other| other.starts_with(&format!("{command}-")))
    };
    known.retain(|command| !is_group(command));
    known.sort();
    known
}

/// Whether a manual page is that of a command.
fn is_page_of(page: &str, command: &str) -> bool {
    page == command.replace(' ', "-")
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status();
    assert!(sent.unwrap().success());
}

/// The code as a shell reports it.
fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap())
}

/// Sends the signal and waits for the end, which must come in time. Gives the exit code.
fn end(child: &mut Child, name: &str, what: &str) -> i32 {
    signal(child, name);
    let asked = Instant::now();
    let mut allowed = DUE;
    let status = eventually_some(&format!("{what} ends by SIG{name}"), || {
        let status = child.try_wait().unwrap();
        if status.is_none() && asked.elapsed() > allowed {
            allowed = allowed.max(DUE + allowance());
            let waited = asked.elapsed();
            assert!(
                waited < allowed,
                "{what}: SIG{name} did not end it: {waited:?}, and {allowed:?} are due"
            );
        }
        status
    });
    code(status)
}

/// Whether the process has a file open whose name ends so.
fn has_open(child: &Child, name: &str) -> bool {
    let Ok(entries) = std::fs::read_dir(format!("/proc/{}/fd", child.id())) else { return false };
    entries.flatten().any(|entry| {
        std::fs::read_link(entry.path()).is_ok_and(|target| target.to_string_lossy().ends_with(name))
    })
}

fn quiet(mut command: Command) -> Command {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// A folder with some events that are counted, and one error.
fn site() -> Folder {
    let folder = Folder::new();
    folder.generate("events.csv", &["--rows", "500", "--format", "csv", "--bad", "0.01"]);
    folder.run(&["ingest", "--wait", "events.csv"]);
    folder.run(&["dag", "list"]);
    folder.run(&["dlq", "stats"]);
    folder
}

fn must_be_sound(folder: &Folder) {
    let verdict = folder.run(&["verify"]);
    assert!(verdict.contains("zero residue"), "{verdict}");
}

#[test]
fn every_command_is_tried() {
    let known = known_commands();
    assert!(known.len() > 40 && known.iter().any(|command| command == "dlq-retry"), "{known:?}");
    for command in &known {
        let is_tried = COMMANDS.iter().any(|(tried, _, _)| is_page_of(command, tried));
        assert!(is_tried, "`adpipe {command}` is new: say in COMMANDS how to keep it busy");
    }
}

#[test]
fn a_locked_warehouse_keeps_nobody() {
    let known = known_commands();
    let folder = site();
    let lock = rusqlite::Connection::open(folder.join("data/realtime.db")).unwrap();
    lock.execute_batch("pragma locking_mode = exclusive; begin exclusive").unwrap();
    for (command, arguments, busy) in COMMANDS {
        if *busy != Busy::Locked || !known.iter().any(|page| is_page_of(page, command)) {
            continue;
        }
        for (name, expected) in SIGNALS {
            let all: Vec<&str> = command.split(' ').chain(arguments.iter().copied()).collect();
            let mut command = quiet(folder.adpipe(&all));
            let mut child = Killed(command.stdin(Stdio::piped()).spawn().unwrap());
            let mut status = None;
            eventually("it has begun, or ended by itself", || {
                status = child.0.try_wait().unwrap();
                status.is_some() || has_open(&child.0, "realtime.db")
            });
            assert!(status.is_none(), "adpipe {all:?} ended before it was asked to: {status:?}");
            let code = end(&mut child.0, name, &format!("adpipe {all:?}"));
            assert_eq!(code, expected, "adpipe {all:?}");
        }
    }
    lock.execute_batch("rollback").unwrap();
    drop(lock);
    must_be_sound(&folder);
}

#[test]
fn roles_end_in_order() {
    let folder = site();
    let roles = ["stream", "dlq", "scheduler", "console", "monitor"];
    let mut all: Vec<Vec<&str>> = roles.iter().map(|role| vec!["run", role]).collect();
    let serving = COMMANDS.iter().filter(|(name, _, busy)| *busy == Busy::Serving && *name != "run");
    all.extend(serving.map(|(name, arguments, _)| [&[*name], *arguments].concat()));
    for arguments in all {
        for (name, _) in SIGNALS {
            let mut command = folder.adpipe(&arguments);
            let mut child = Killed(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
            let mut first = [0];
            child.0.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
            let code = end(&mut child.0, name, &format!("adpipe {arguments:?}"));
            assert_eq!(code, 0, "adpipe {arguments:?}, SIG{name}");
        }
    }
    must_be_sound(&folder);
}

#[test]
fn what_is_brief_ends_by_itself() {
    let folder = site();
    for (command, arguments, busy) in COMMANDS {
        if *busy == Busy::Brief {
            let all: Vec<&str> = command.split(' ').chain(arguments.iter().copied()).collect();
            let mut child = Killed(quiet(folder.adpipe(&all)).stdin(Stdio::piped()).spawn().unwrap());
            eventually("it ends by itself", || child.0.try_wait().unwrap().is_some());
        }
    }
}

#[test]
fn ingest_ends_within_a_line_a_pipe_and_a_silent_input() {
    let folder = site();
    let pipe = folder.join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let (plain, packed) = (line_without_end(&folder), packed_line(&folder, "line.gz"));
    for file in [plain.to_str().unwrap(), pipe.to_str().unwrap(), "-", packed.to_str().unwrap()] {
        for format in [&[][..], &["--format", "ndjson"], &["--format", "json"], &["--format", "csv"]] {
            for (name, expected) in SIGNALS {
                let mut command = quiet(folder.adpipe(&["ingest", "--wait", file]));
                let mut child = Killed(command.args(format).stdin(Stdio::piped()).spawn().unwrap());
                eventually("it has begun", || has_open(&child.0, "log.db"));
                let code = end(&mut child.0, name, &format!("ingest {file} {format:?}"));
                assert_eq!(code, expected, "ingest {file} {format:?}");
            }
        }
    }
    must_be_sound(&folder);
    assert_eq!(folder.account()["records"], 500, "nothing of these became a record");
}

/// What a line without an end begins with: zeros alone are named, and not read.
const START_OF_LINE: &str = "{\"id\":\"";

/// A terabyte in one line, which takes no room.
fn line_without_end(folder: &Folder) -> PathBuf {
    let path = folder.join("line");
    let mut file = File::create(&path).unwrap();
    file.write_all(START_OF_LINE.as_bytes()).unwrap();
    file.set_len(1 << 40).unwrap();
    path
}

/// Four gigabytes in one line, compressed.
fn packed_line(folder: &Folder, name: &str) -> PathBuf {
    let path = folder.join(name);
    let line = format!("(printf '%s' '{START_OF_LINE}'; head -c 64M /dev/zero) | gzip -1");
    let gzip = Command::new("sh").args(["-c", &line]).output().unwrap();
    let mut file = File::create(&path).unwrap();
    for _ in 0..64 {
        file.write_all(&gzip.stdout).unwrap();
    }
    path
}

#[test]
fn events_read_from_a_pipe_are_kept_when_it_is_stopped() {
    let folder = site();
    let row = std::fs::read_to_string(folder.join("events.csv")).unwrap();
    let mut child = Killed(quiet(folder.adpipe(&["ingest", "-"])).stdin(Stdio::piped()).spawn().unwrap());
    child.0.stdin.as_mut().unwrap().write_all(row.as_bytes()).unwrap();
    let is_in = || {
        let log = rusqlite::Connection::open(folder.join("data/log.db")).unwrap();
        let count = log.query_row(
            "select sum(next_offset) from partitions where topic = 'ad_events_raw'",
            (),
            |row| row.get::<_, i64>(0),
        );
        count.unwrap() == 1_000
    };
    eventually("the events are in the log", is_in);
    assert_eq!(end(&mut child.0, "TERM", "ingest -"), 143);
}

#[test]
fn etl_ends_within_a_line_and_is_not_kept_by_a_pipe() {
    let folder = site();
    std::fs::create_dir_all(folder.join("data/raw")).unwrap();
    packed_line(&folder, "data/raw/train.gz");
    assert!(Command::new("mkfifo").arg(folder.join("data/raw/pipe.csv")).status().unwrap().success());
    for (name, expected) in SIGNALS {
        let mut child = Killed(quiet(folder.adpipe(&["etl"])).spawn().unwrap());
        eventually("it reads", || has_open(&child.0, "raw/train.gz"));
        assert_eq!(end(&mut child.0, name, "etl"), expected);
    }
    assert_eq!(folder.row("select count(*) as n from realtime.files where state = 'damaged'")["n"], 0);
    let words = folder.fail(1, &["etl", "/dev/zero", folder.join("data/raw/pipe.csv").to_str().unwrap()]);
    assert!(!words.contains("panicked"), "{words}");
    must_be_sound(&folder);
}

#[cfg(feature = "s3")]
#[test]
fn etl_ends_while_the_bucket_is_away() {
    let folder = site();
    // It takes connections and never answers.
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", server.local_addr().unwrap());
    for (name, expected) in SIGNALS {
        let mut command = adpipe_in(folder.path());
        command
            .env("ADPIPE_LOG__URL", "sqlite:data")
            .env("ADPIPE_WAREHOUSE__URL", "sqlite:data")
            .env("ADPIPE_ARCHIVE__URL", "s3://bucket/ads")
            .env("ADPIPE_ARCHIVE__ENDPOINT", &endpoint)
            .env("ADPIPE_ARCHIVE__ALLOW_HTTP", "true")
            .env("AWS_ACCESS_KEY_ID", "x")
            .env("AWS_SECRET_ACCESS_KEY", "y")
            .arg("etl");
        let mut child = Killed(quiet(command).spawn().unwrap());
        eventually("it has begun", || has_open(&child.0, "realtime.db"));
        let _held = server.accept().unwrap();
        assert_eq!(end(&mut child.0, name, "etl with s3"), expected);
    }
    must_be_sound(&folder);
}

#[test]
fn generate_ends_with_a_whole_record() {
    let folder = Folder::new();
    for pace in [&["--rows", "1000000000"][..], &["--rate", "500"]] {
        for (name, expected) in SIGNALS {
            let mut command = quiet(folder.adpipe(&["generate", "--out", "events.ndjson"]));
            let mut child = Killed(command.args(pace).spawn().unwrap());
            let size =
                || std::fs::metadata(folder.join("events.ndjson")).map_or(0, |metadata| metadata.len());
            eventually("it writes", || size() > 10_000);
            assert_eq!(end(&mut child.0, name, "generate"), expected);
            let mut file = File::open(folder.join("events.ndjson")).unwrap();
            let mut text = Vec::new();
            std::io::Seek::seek(&mut file, std::io::SeekFrom::End(-2)).unwrap();
            file.read_to_end(&mut text).unwrap();
            assert!(text.ends_with(b"\n"), "the last record is whole");
            std::fs::remove_file(folder.join("events.ndjson")).unwrap();
        }
    }
    // Nobody reads what it writes.
    for (name, expected) in SIGNALS {
        let mut command = folder.adpipe(&["generate", "--rows", "1000000000"]);
        let mut child = Killed(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
        child.0.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        assert_eq!(end(&mut child.0, name, "generate into a full pipe"), expected);
    }
}

#[test]
fn a_query_without_an_end_is_ended() {
    let folder = site();
    let endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n";
    for (name, expected) in SIGNALS {
        let mut child = Killed(quiet(folder.adpipe(&["sql", endless])).spawn().unwrap());
        eventually("it has begun", || has_open(&child.0, "realtime.db"));
        assert_eq!(end(&mut child.0, name, "sql"), expected);
    }
}

#[test]
fn a_retry_that_waits_for_its_outcome_is_ended() {
    let folder = site();
    folder.run(&["dlq", "retry", "--due"]);
    let error = folder.row("select error_id from errors.dlq_errors where status = 'exhausted'");
    let id = error["error_id"].as_str().unwrap().to_owned();
    // Others have the roles and do nothing: the outcome never comes.
    let held: Vec<File> = ["stream", "dlq"]
        .iter()
        .map(|role| {
            let path = folder.join(&format!("data/{role}.lock"));
            let lock = File::options().create(true).truncate(false).write(true).open(path).unwrap();
            lock.lock().unwrap();
            lock
        })
        .collect();
    for (name, expected) in SIGNALS {
        for arguments in
            [&["dlq", "retry", &id][..], &["dlq", "retry", "--due"], &["dlq", "retry", "--all", "--yes"]]
        {
            let mut child = Killed(quiet(folder.adpipe(arguments)).spawn().unwrap());
            // This error, which nobody but a person retries: others are pending by themselves.
            let is_due = format!("select status from errors.dlq_errors where error_id = '{id}'");
            eventually("it waits", || {
                let ended = child.0.try_wait().unwrap();
                assert!(ended.is_none(), "adpipe {arguments:?} ended before it was asked to: {ended:?}");
                has_open(&child.0, "errors.db") && folder.row(&is_due)["status"] == "pending"
            });
            let code = end(&mut child.0, name, &format!("adpipe {arguments:?}"));
            assert_eq!(code, expected, "adpipe {arguments:?}");
        }
    }
    drop(held);
    must_be_sound(&folder);
}

#[test]
fn a_run_of_a_dag_is_ended_with_its_tasks() {
    let folder = site();
    std::fs::create_dir(folder.join("config")).unwrap();
    let dags = "[[dag]]\nid = \"slow\"\n\n[[dag.task]]\nid = \"wait\"\nshell = \"echo $$ > started; exec sleep 300\"\n";
    std::fs::write(folder.join("config/dags.toml"), dags).unwrap();
    let started = folder.join("started");
    for (name, expected) in SIGNALS {
        let mut child = Killed(folder.adpipe(&["dag", "run", "slow"]).stdout(Stdio::null()).spawn().unwrap());
        let process = || std::fs::read_to_string(&started).unwrap_or_default();
        eventually("its task runs", || process().ends_with('\n'));
        assert_eq!(end(&mut child.0, name, "dag run"), expected);
        let task = PathBuf::from(format!("/proc/{}", process().trim()));
        eventually("the task has ended", || !task.exists());
        std::fs::remove_file(&started).unwrap();
    }
}

#[test]
fn a_webhook_that_never_answers_keeps_nobody() {
    let folder = site();
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", server.local_addr().unwrap());
    for (name, expected) in SIGNALS {
        let mut command = quiet(folder.adpipe(&["alerts", "test-notify"]));
        let mut child = Killed(command.env("ADPIPE_NOTIFY__SLACK_WEBHOOK", &url).spawn().unwrap());
        let _held = server.accept().unwrap();
        assert_eq!(end(&mut child.0, name, "alerts test-notify"), expected);
    }
}

#[test]
fn bench_leaves_nothing_behind() {
    let folder = Folder::new();
    let scratch = folder.join("scratch");
    std::fs::create_dir(&scratch).unwrap();
    let left = || std::fs::read_dir(&scratch).unwrap().count();
    for (name, expected) in SIGNALS {
        let mut command = quiet(folder.adpipe(&["bench", "stream", "--rows", "4000000"]));
        let mut child = Killed(command.env("TMPDIR", &scratch).spawn().unwrap());
        eventually("it has made its folder", || left() > 0);
        assert_eq!(end(&mut child.0, name, "bench"), expected);
        assert_eq!(left(), 0, "its folder is gone");
    }
}
