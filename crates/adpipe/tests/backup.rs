//! `adpipe backup` and `adpipe restore`: taken while everything works, killed at any moment, damaged.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use adpipe_testkit::postgres::Postgres;
use adpipe_testkit::{Dice, eventually, seed};
use common::{ADPIPE, Folder, Killed, Running, adpipe_in, printed, shown};
use serde_json::Value;

/// The binary with its data in a folder of this name.
fn on(folder: &Folder, data: &str, arguments: &[&str]) -> Command {
    let mut command = adpipe_in(folder.path());
    command.args(["--data", data]).args(arguments);
    command
}

fn run_on(folder: &Folder, data: &str, arguments: &[&str]) -> String {
    printed(on(folder, data, arguments))
}

fn number_on(folder: &Folder, data: &str, sql: &str) -> u64 {
    let sql = format!("select ({sql}) as n");
    let rows: Value = serde_json::from_str(&run_on(folder, data, &["sql", "--json", &sql])).unwrap();
    rows[0]["n"].as_f64().unwrap_or(0.0) as u64
}

fn backup(folder: &Folder, code: i32) -> Value {
    let output = folder.adpipe(&["backup", "copies", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{}", shown(&output));
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}

/// Raw files of a few days, some of whose rows are bad or repeat others.
fn raw_file(folder: &Folder, number: u64, rows: u64) {
    folder.generate_some_bad(&format!("{number}.csv"), rows, number, "2014-10-23", "csv");
    std::fs::create_dir_all(folder.join("data/raw")).unwrap();
    std::fs::rename(folder.join(&format!("{number}.csv")), folder.join(&format!("data/raw/{number}.csv")))
        .unwrap();
}

/// Ends the load when the test ends, however that is; and it ends by itself, so that a test that hangs
/// fills no disk.
struct Load(AtomicBool);

impl Load {
    fn is_over(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

struct EndOfLoad<'a>(&'a Load);

impl Drop for EndOfLoad<'_> {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// Most requests, files and actions of a load, and the pause between two.
const MOST: u64 = 150;
const PAUSE: Duration = Duration::from_millis(250);

/// A small pipeline: events by stream and by file, errors, an archive of several parts.
fn small_pipeline() -> Folder {
    let folder = Folder::new();
    folder.generate("events.ndjson", &["--rows", "5000", "--seed", "1", "--bad", "0.02"]);
    folder.run(&["ingest", "--wait", "events.ndjson"]);
    for number in 0..3 {
        raw_file(&folder, number, 2_000);
        folder.run(&["etl"]);
    }
    folder
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

#[test]
fn a_backup_of_a_busy_pipeline_is_one_moment_of_it() {
    let folder = Folder::new();
    let up = Running::start(folder.adpipe(&["up"]));
    let load = Load(AtomicBool::new(false));
    std::thread::scope(|scope| {
        let (folder, load, up) = (&folder, &load, &up);
        let _end = EndOfLoad(load);
        // By HTTP, some of it bad.
        scope.spawn(move || {
            for seed in 0..MOST {
                let name = format!("http-{seed}.ndjson");
                let seed = seed.to_string();
                folder.generate(&name, &["--rows", "3000", "--seed", &seed, "--bad", "0.02"]);
                let body = std::fs::read(folder.join(&name)).unwrap();
                if load.is_over() {
                    break;
                }
                std::thread::sleep(PAUSE);
                let (status, answer) = up.request("POST", "/v1/events", &body);
                assert!(status == 202 || status == 429, "{answer}");
            }
        });
        // By files, whose small parts are merged all the time.
        scope.spawn(move || {
            for number in 0..MOST {
                if load.is_over() {
                    break;
                }
                raw_file(folder, number, 4_000);
                let mut etl = folder.adpipe(&["etl"]);
                etl.env("ADPIPE_ETL__SEGMENT_ROWS", "1000").env("ADPIPE_ARCHIVE__MERGE_FILES", "3");
                let output = etl.output().unwrap();
                assert!(output.status.success(), "{}", shown(&output));
            }
        });
        // And people repair errors.
        scope.spawn(move || {
            for _ in 0..MOST {
                if load.is_over() {
                    break;
                }
                std::thread::sleep(PAUSE);
                let edit = ["dlq", "edit", "--field", "click", "--set", "click=0", "--yes", "--no-wait"];
                let retry = ["dlq", "retry", "--type", "schema,parse", "--yes", "--no-wait"];
                for action in [edit.as_slice(), retry.as_slice()] {
                    // There may be none just now.
                    folder.adpipe(action).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
                }
            }
        });
        eventually("the first parts", || {
            number_on(folder, "data", "select count(*) from realtime.archive_parts") > 0
        });
        let mut streamed_before = 0;
        for round in 0..4 {
            let taken = backup(folder, 0);
            assert_eq!(taken["problems"], serde_json::json!([]), "{taken}");
            let copy = format!("restored-{round}");
            run_on(folder, &copy, &["restore", "copies"]);
            let verdict = run_on(folder, &copy, &["verify", "--deep"]);
            assert!(verdict.contains("zero residue"), "round {round}: {verdict}");
            let streamed = number_on(folder, &copy, "select sum(records) from realtime.commits");
            assert!(streamed >= streamed_before, "round {round}: {streamed} after {streamed_before}");
            streamed_before = streamed;
            // Marts can be made of it, and the pipeline continues from there.
            let mut restored = on(folder, &copy, &["up"]);
            let restored = Running::start(std::mem::replace(&mut restored, Command::new(ADPIPE)));
            eventually("the copy has counted its log", || {
                let verdict: Value =
                    serde_json::from_str(&run_on(folder, &copy, &["verify", "--json"])).unwrap();
                assert_eq!(verdict["holds"], true, "round {round}: {verdict}");
                verdict["waiting"] == 0
            });
            drop(restored);
            let verdict = run_on(folder, &copy, &["verify"]);
            assert!(verdict.contains("zero residue"), "round {round}: {verdict}");
            let waiting =
                "select count(*) from errors.dlq_errors where status = 'retrying' and lease_until is null";
            assert_eq!(number_on(folder, &copy, waiting), 0, "round {round}");
        }
    });
}

#[test]
fn a_killed_backup_leaves_none_or_the_one_before() {
    let seed = seed();
    let mut dice = Dice(seed);
    let folder = small_pipeline();
    let check = || folder.adpipe(&["restore", "copies", "--check"]).output().unwrap();
    let mut has_backup = false;
    let (mut kills, mut ends) = (0, 0);
    while kills < 25 {
        let mut child = Killed(
            folder.adpipe(&["backup", "copies"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap(),
        );
        // Chance says how far the backup gets.
        std::thread::sleep(Duration::from_millis(dice.below(120)));
        match child.0.try_wait().unwrap() {
            Some(status) => {
                assert!(status.success(), "seed {seed}: {status}");
                ends += 1;
                has_backup = true;
                assert!(ends < 500, "seed {seed}: no kill meets a backup");
                // Something to copy for the next one.
                raw_file(&folder, 100 + ends, 500);
                folder.run(&["etl"]);
            }
            None => {
                drop(child);
                kills += 1;
            }
        }
        let checked = check();
        let words = String::from_utf8_lossy(&checked.stderr);
        match (has_backup, checked.status.code()) {
            (_, Some(0)) => has_backup = true,
            (false, Some(1)) => assert!(
                words.contains("not a complete backup") || words.contains("copies"),
                "seed {seed}: {words}"
            ),
            _ => panic!("seed {seed}, {kills} kills: {}", shown(&checked)),
        }
    }
    backup(&folder, 0);
    // Nothing of the killed ones is left behind.
    let manifest: Value =
        serde_json::from_slice(&std::fs::read(folder.join("copies/manifest.json")).unwrap()).unwrap();
    let named = manifest["backup"]["files"].as_array().unwrap().len();
    let parts: Vec<PathBuf> = files_below(&folder.join("copies/archive"));
    let archive = manifest["backup"]["files"].as_array().unwrap().iter();
    assert_eq!(archive.filter(|file| file["kind"] == "archive").count(), parts.len(), "seed {seed}");
    // Lock, manifest and the list of parts are of nobody's data.
    assert_eq!(files_below(&folder.join("copies")).len(), named + 3, "seed {seed}");
    run_on(&folder, "restored", &["restore", "copies"]);
    assert!(run_on(&folder, "restored", &["verify"]).contains("zero residue"), "seed {seed}");
}

#[test]
fn a_repeated_backup_copies_only_what_is_new() {
    let folder = small_pipeline();
    let first = backup(&folder, 0);
    assert_eq!((&first["archive_parts_kept"], &first["not_included"]), (&0.into(), &serde_json::json!([])));
    let parts = first["archive_parts"].as_u64().unwrap();
    let second = backup(&folder, 0);
    assert_eq!(second["archive_parts_kept"], parts);
    let archive: u64 =
        files_below(&folder.join("copies/archive")).iter().map(|path| path.metadata().unwrap().len()).sum();
    assert!(archive > 10_000);
    let copied = |report: &Value| report["copied_bytes"].as_u64().unwrap();
    assert!(copied(&second) + archive <= copied(&first) + 4_096, "{first} {second}");
    // Small parts are merged: the old ones go from the backup, too.
    let mut etl = folder.adpipe(&["etl"]);
    assert!(etl.env("ADPIPE_ARCHIVE__MERGE_FILES", "2").output().unwrap().status.success());
    let third = backup(&folder, 0);
    assert!(third["archive_parts"].as_u64().unwrap() < parts, "{third}");
    let listed = third["archive_parts"].as_u64().unwrap() as usize;
    assert_eq!(files_below(&folder.join("copies/archive")).len(), listed);

    // For nobody else to read.
    for path in files_below(&folder.join("copies")) {
        let mode = path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", path.display());
        let mode = path.parent().unwrap().metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o700, "{}", path.display());
    }
    // What is not ours is left alone, and not written into.
    std::fs::create_dir(folder.join("other")).unwrap();
    std::fs::write(folder.join("other/thesis.txt"), "mine").unwrap();
    let words = folder.fail(1, &["backup", "other"]);
    assert!(words.contains("holds files that are not a backup"), "{words}");
    std::fs::write(folder.join("copies/archive/thesis.txt"), "mine").unwrap();
    backup(&folder, 0);
    assert!(folder.join("copies/archive/thesis.txt").exists());
    // Nor is anything restored over data.
    let words = folder.fail(1, &["restore", "copies"]);
    assert!(words.contains("is not empty"), "{words}");
    let words = folder.fail(1, &["restore", "other"]);
    assert!(words.contains("not a complete backup"), "{words}");
}

#[test]
fn a_damaged_backup_is_refused_and_named() {
    let seed = seed();
    let mut dice = Dice(seed);
    let folder = small_pipeline();
    backup(&folder, 0);
    let manifest: Value =
        serde_json::from_slice(&std::fs::read(folder.join("copies/manifest.json")).unwrap()).unwrap();
    for file in manifest["backup"]["files"].as_array().unwrap() {
        let name = file["path"].as_str().unwrap();
        let path = folder.join("copies").join(name);
        let whole = std::fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        let at = dice.below(whole.len() as u64) as usize;
        flipped[at] ^= 1 << dice.below(8);
        let damages: [Option<&[u8]>; 3] = [Some(&flipped), Some(&whole[..whole.len() / 2]), None];
        for damage in damages {
            match damage {
                Some(bytes) => std::fs::write(&path, bytes).unwrap(),
                None => std::fs::remove_file(&path).unwrap(),
            }
            let output = on(&folder, "restored", &["restore", "copies"]).output().unwrap();
            let words = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "seed {seed}, {name} at {at}: {words}");
            assert!(words.contains(name) && words.contains("nothing was restored"), "seed {seed}: {words}");
            assert!(!folder.join("restored").exists(), "seed {seed}: {name}");
        }
        std::fs::write(&path, &whole).unwrap();
    }
    run_on(&folder, "restored", &["restore", "copies"]);
    assert!(run_on(&folder, "restored", &["verify"]).contains("zero residue"));
    let everything = "select (select sum(impressions) from realtime.metrics_hourly)
        + (select count(*) from errors.dlq_errors) + (select count(*) from ops.ingest_files)";
    assert_eq!(number_on(&folder, "restored", everything), number_on(&folder, "data", everything));
}

#[test]
fn a_part_that_is_missing_or_damaged_is_named_and_the_rest_is_taken() {
    let folder = small_pipeline();
    let parts = files_below(&folder.join("data/processed"));
    let parts: Vec<&PathBuf> =
        parts.iter().filter(|path| path.extension().is_some_and(|end| end == "parquet")).collect();
    assert!(parts.len() >= 3, "{parts:?}");
    std::fs::rename(parts[0], folder.join("moved.parquet")).unwrap();
    let shorter = std::fs::read(parts[1]).unwrap();
    std::fs::write(parts[1], &shorter[..shorter.len() - 1]).unwrap();
    let taken = backup(&folder, 1);
    let problems = taken["problems"].as_array().unwrap();
    assert_eq!(problems.len(), 2, "{taken}");
    for (problem, part) in problems.iter().zip(&parts) {
        let name = part.file_name().unwrap().to_str().unwrap();
        assert!(problem.as_str().unwrap().contains(name), "{problem} {name}");
    }
    run_on(&folder, "restored", &["restore", "copies"]);
    // Back again, and whole again.
    std::fs::rename(folder.join("moved.parquet"), parts[0]).unwrap();
    std::fs::write(parts[1], &shorter).unwrap();
    backup(&folder, 0);
    run_on(&folder, "again", &["restore", "copies"]);
    assert!(run_on(&folder, "again", &["verify"]).contains("zero residue"));
}

#[test]
fn ctrl_c_ends_a_backup_and_a_restore_at_once() {
    let folder = small_pipeline();
    backup(&folder, 0);
    // Enough to be met in the middle: a task's log of 1 GB that takes no room.
    std::fs::create_dir_all(folder.join("data/task-logs")).unwrap();
    std::fs::File::create(folder.join("data/task-logs/long.log")).unwrap().set_len(1 << 30).unwrap();
    let mut child = folder.adpipe(&["backup", "copies"]).stderr(Stdio::piped()).spawn().unwrap();
    eventually("the log is being copied", || {
        let taken = std::fs::read_dir(folder.join("copies/taken")).unwrap();
        taken.flatten().any(|own| own.path().join("task-logs/long.log").exists())
    });
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    folder.run(&["restore", "copies", "--check"]);
    let left = files_below(&folder.join("copies/taken"));
    assert!(left.iter().all(|path| !path.ends_with("long.log")), "{left:?}");
}

#[test]
fn postgres_is_dumped_at_the_moment_of_the_log() {
    let Some(server) = Postgres::shared("postgres_is_dumped_at_the_moment_of_the_log") else { return };
    let folder = Folder::new();
    let adpipe = |data: &str, url: &str, arguments: &[&str]| {
        let mut command = adpipe_in(folder.path());
        command.env("ADPIPE_LOG__URL", format!("sqlite:{data}"));
        command.env("ADPIPE_ARCHIVE__URL", format!("{data}/processed"));
        command.env("ADPIPE_ETL__RAW_FOLDER", format!("{data}/raw"));
        command.env("ADPIPE_NOTIFY__SPOOL", format!("{data}/notifications"));
        command.env("ADPIPE_SCHEDULER__LOG_FOLDER", format!("{data}/task-logs"));
        command.env("ADPIPE_WAREHOUSE__URL", url).args(arguments);
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", server.programs().display()));
        command
    };
    let run = |data: &str, url: &str, arguments: &[&str]| printed(adpipe(data, url, arguments));
    let url = server.new_database();
    let up = Running::start(adpipe("data", &url, &["up"]));
    let load = Load(AtomicBool::new(false));
    std::thread::scope(|scope| {
        let (folder, load, up, url, adpipe) = (&folder, &load, &up, &url, &adpipe);
        let _end = EndOfLoad(load);
        scope.spawn(move || {
            for seed in 0..MOST {
                let name = format!("http-{seed}.ndjson");
                let seed = seed.to_string();
                folder.generate(&name, &["--rows", "3000", "--seed", &seed, "--bad", "0.02"]);
                if load.is_over() {
                    break;
                }
                std::thread::sleep(PAUSE);
                let body = std::fs::read(folder.join(&name)).unwrap();
                up.request("POST", "/v1/events", &body);
            }
        });
        scope.spawn(move || {
            for number in 0..MOST {
                raw_file(folder, number, 3_000);
                if load.is_over() {
                    break;
                }
                std::thread::sleep(PAUSE);
                // The retention of `up` may drop a day that it was about to fill; the next one does.
                adpipe("data", url, &["etl"]).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
                let edit = ["dlq", "edit", "--field", "click", "--set", "click=0", "--yes", "--no-wait"];
                adpipe("data", url, &edit).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
            }
        });
        eventually("the first parts", || {
            let count = "select count(*) as n from realtime.archive_parts";
            let rows: Value = serde_json::from_str(&run("data", url, &["sql", "--json", count])).unwrap();
            rows[0]["n"].as_u64().unwrap() > 0
        });
        for round in 0..2 {
            run("data", url, &["backup", "copies"]);
            let (copy, into) = (format!("restored-{round}"), server.new_database());
            run(&copy, &into, &["restore", "copies"]);
            let verdict = run(&copy, &into, &["verify"]);
            assert!(verdict.contains("zero residue"), "round {round}: {verdict}");
            let again = adpipe("elsewhere", &into, &["restore", "copies"]).output().unwrap();
            let words = String::from_utf8_lossy(&again.stderr);
            assert!(again.status.code() == Some(1) && words.contains("empty database"), "{words}");
            assert!(!folder.join("elsewhere").exists());
        }
    });
    // Without the programs, the message says what to run.
    let mut without = adpipe("data", &url, &["backup", "copies"]);
    let output = without.env("PATH", "/nonexistent").output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(words.contains("pg_dump --format=custom --schema=realtime"), "{words}");
    // An embedded target is not what the backup is of.
    let words = folder.fail(1, &["restore", "copies"]);
    assert!(words.contains("PostgreSQL"), "{words}");
}
