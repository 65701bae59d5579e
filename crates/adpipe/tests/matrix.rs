//! Every embedded store × every way to lose or damage it: what happens is that everything continues
//! exactly, or that a part stops and says what helps; never a loss, a double count or a clean bill of
//! health over wrong data. The table is printed (`--nocapture`) and is in docs/OPERATIONS.md.
//!
//! Each trial works on a copy of one folder: damage, then the everyday commands (repeated and new
//! events, a batch run, the queue, `verify --deep`), then a comparison of all content with that of a
//! folder to which nothing was done.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;
#[path = "common/raw_files.rs"]
mod raw_files;

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use adpipe_testkit::{Dice, eventually, flips, seed};
use common::{Folder, Running, run_for, shown};

/// Bits flipped in each store, end to end. `ADPIPE_TEST_FLIPS` has it try more or fewer; the stores have
/// tests of their own with 200 and more.
const FLIPS: u64 = 40;

/// A command that takes longer waits for something, and must have said for what.
const LIMIT: Duration = Duration::from_secs(15);

/// A folder at two moments, and what the everyday commands make of the newer one.
struct Base {
    folder: Folder,
    expected: Content,
}

/// All that people and programs read: rows by what they are of.
type Content = BTreeMap<&'static str, String>;

const QUERIES: [(&str, &str); 4] = [
    (
        "figures by the hour",
        "select window_start, sum(impressions) as i, sum(clicks) as c from realtime.metrics_hourly group by 1 order by 1",
    ),
    (
        "figures by the minute",
        "select window_start, sum(impressions) as i, sum(clicks) as c from realtime.metrics group by 1 order by 1",
    ),
    (
        "hot events",
        "select event_hour, event_id, event_time, click, banner_pos, device_type, device_conn_type, site_id,
                site_domain, site_category, app_id, app_domain, app_category, device_id, device_ip,
                device_model, c1, c14, c15, c16, c17, c18, c19, c20, c21
         from realtime.events order by event_hour, event_id",
    ),
    (
        "errors",
        "select topic, partition, record_offset, hex(raw_payload) as payload, headers, error_type, field, error_message
         from errors.dlq_errors order by topic, partition, record_offset",
    ),
];

fn base() -> &'static Base {
    static BASE: OnceLock<Base> = OnceLock::new();
    BASE.get_or_init(|| {
        let folder = Folder::new();
        let days = ["--start", "2014-10-20", "--end", "2014-10-22"];
        for (file, rows, seed) in
            [("first.ndjson", "1500", "1"), ("second.ndjson", "800", "2"), ("new.ndjson", "300", "3")]
        {
            let mut options = vec!["--rows", rows, "--seed", seed, "--bad", "0.04", "--format", "ndjson"];
            options.extend(days);
            folder.generate(file, &options);
        }
        folder.generate(
            "day.csv",
            &[
                "--rows",
                "1200",
                "--seed",
                "4",
                "--start",
                "2014-10-19",
                "--end",
                "2014-10-22",
                "--format",
                "csv",
            ],
        );
        std::fs::create_dir_all(folder.join("data/raw")).unwrap();
        folder.run(&["ingest", "--wait", "first.ndjson"]);
        std::fs::copy(folder.join("day.csv"), folder.join("data/raw/day.csv")).unwrap();
        folder.run(&["etl"]);
        store_errors(&folder);
        copy_tree(&folder.join("data"), &folder.join("older"));
        folder.run(&["ingest", "--wait", "second.ndjson"]);
        folder.run(&["etl"]);
        store_errors(&folder);
        copy_tree(&folder.join("data"), &folder.join("newer"));

        let other = Folder::new();
        other.generate(
            "other.ndjson",
            &[
                "--rows",
                "700",
                "--seed",
                "9",
                "--start",
                "2014-10-20",
                "--end",
                "2014-10-22",
                "--bad",
                "0.04",
            ],
        );
        std::fs::create_dir_all(other.join("data/raw")).unwrap();
        other.run(&["ingest", "--wait", "other.ndjson"]);
        other.run(&["etl"]);
        store_errors(&other);
        copy_tree(&other.join("data"), &folder.join("another"));

        let trial = Trial::of(&folder, "newer");
        let told = trial.everyday();
        assert_eq!(told, Vec::<String>::new(), "nothing was done to it");
        Base { expected: trial.content().expect("it can be read"), folder }
    })
}

/// Plays all roles until the queue has taken in every error.
fn store_errors(folder: &Folder) {
    let running = Running::start(folder.adpipe(&["up"]));
    eventually("errors are stored", || {
        let row = folder.row(
            "select (select sum(parse + schema + validation + future + sink) from realtime.commits) as counted,
                    (select count(*) from errors.dlq_errors where topic not like 'file:%') as stored",
        );
        row["counted"] == row["stored"]
    });
    running.signal("TERM");
    let mut running = running;
    assert!(running.child.wait().unwrap().success());
}

fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// One damage, on a folder of its own.
struct Trial {
    folder: Folder,
}

impl Trial {
    fn of(base: &Folder, moment: &str) -> Trial {
        let folder = Folder::new();
        copy_tree(&base.join(moment), &folder.join("data"));
        for file in ["first.ndjson", "new.ndjson"] {
            std::fs::copy(base.join(file), folder.join(file)).unwrap();
        }
        Trial { folder }
    }

    /// What people do every day. Gives what they are told: the last line of whatever did not end well.
    fn everyday(&self) -> Vec<String> {
        let commands: [&[&str]; 4] = [
            &["ingest", "--wait", "first.ndjson", "new.ndjson"],
            &["etl"],
            &["dlq", "stats"],
            &["verify", "--deep"],
        ];
        let mut told = Vec::new();
        for arguments in commands {
            let (output, is_waiting) = run_for(LIMIT, self.folder.adpipe(arguments));
            let words = format!(
                "{}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
            assert!(!words.contains("panicked"), "{arguments:?}: {}", shown(&output));
            if is_waiting {
                let line = words.lines().find(|line| line.contains("WARN")).unwrap_or_default();
                assert!(line.len() > 20, "{arguments:?} waits and does not say for what: {}", shown(&output));
                told.push(format!("{} waits: {line}", arguments[0]));
                continue;
            }
            if output.status.success() {
                continue;
            }
            let line = words
                .lines()
                .find(|line| line.starts_with("GAP"))
                .or_else(|| words.lines().rfind(|line| !line.trim().is_empty()))
                .unwrap_or_default();
            assert!(line.len() > 20, "{arguments:?} failed and does not say why: {}", shown(&output));
            told.push(format!("{}: {line}", arguments[0]));
        }
        told
    }

    /// None where it cannot be read, which is an answer, too.
    fn content(&self) -> Option<Content> {
        let mut content = Content::new();
        for (name, sql) in QUERIES {
            let output = self.folder.adpipe(&["sql", "--format", "json", sql]).output().unwrap();
            if !output.status.success() {
                return None;
            }
            content.insert(name, String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Some(content)
    }

    /// Does the everyday and gives what happened, in words; an error when nobody was told of a difference.
    fn outcome(&self, expected: &Content) -> Result<String, String> {
        let told = self.everyday();
        if let Some(first) = told.first() {
            return Ok(format!("stops: {first}"));
        }
        let Some(content) = self.content() else {
            return Err("every command says all is well, and the tables cannot be read".to_owned());
        };
        let different: Vec<&str> =
            expected.iter().filter(|(name, rows)| content[*name] != **rows).map(|(name, _)| *name).collect();
        if different.is_empty() {
            return Ok("goes on exactly".to_owned());
        }
        Err(format!("every command says all is well, and other than expected are: {}", different.join(", ")))
    }
}

/// The embedded stores, and where they lie.
const STORES: [(&str, &str); 4] =
    [("event log", "log.db"), ("realtime", "realtime.db"), ("errors", "errors.db"), ("ops", "ops.db")];

fn replace(from: &Path, to: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", to.display()));
        let copy = PathBuf::from(format!("{}{suffix}", from.display()));
        if copy.exists() {
            std::fs::copy(copy, format!("{}{suffix}", to.display())).unwrap();
        }
    }
}

fn parts(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for day in std::fs::read_dir(folder.join("processed")).unwrap() {
        let day = day.unwrap().path();
        if day.is_dir() {
            let files = std::fs::read_dir(day).unwrap().map(|file| file.unwrap().path());
            found.extend(
                files.filter(|file| file.extension().is_some_and(|extension| extension == "parquet")),
            );
        }
    }
    found.sort();
    found
}

/// What is done, and the deed; its error is a violation.
type NamedTrial = (String, Box<dyn Fn() -> Result<String, String> + Send + Sync>);

/// Runs trials on all cores and prints the rows of the table. Fails with all violations, each with the
/// name of its trial; a trial that panics is one.
fn run_all(trials: Vec<NamedTrial>, seed: Option<u64>) {
    let next = AtomicUsize::new(0);
    let results: Vec<OnceLock<Result<String, String>>> = trials.iter().map(|_| OnceLock::new()).collect();
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::SeqCst);
                    let Some((_, trial)) = trials.get(index) else { return };
                    let outcome = catch_unwind(AssertUnwindSafe(trial));
                    let outcome = outcome.unwrap_or_else(|panic| Err(words(panic.as_ref())));
                    let _ = results[index].set(outcome);
                }
            });
        }
    });
    let mut violations = Vec::new();
    for ((name, _), result) in trials.iter().zip(&results) {
        match result.get().expect("every trial was run") {
            Ok(outcome) => println!("{name:45} {outcome}"),
            Err(violation) => {
                println!("{name:45} VIOLATION: {violation}");
                violations.push(format!("{name}: {violation}"));
            }
        }
    }
    let replay = seed.map(|seed| format!("; ADPIPE_TEST_SEED={seed} does the same again"));
    assert!(
        violations.is_empty(),
        "{} of {} trials{}:\n{}",
        violations.len(),
        trials.len(),
        replay.unwrap_or_default(),
        violations.join("\n")
    );
}

/// What a panic says.
fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    format!("panicked: {}", text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("without words"))
}

#[test]
fn a_failure_names_every_trial_that_failed() {
    let trials: Vec<NamedTrial> = vec![
        ("log × byte 7 bit 1".to_owned(), Box::new(|| panic!("no {}", "rows"))),
        ("log × byte 8 bit 2".to_owned(), Box::new(|| Ok("goes on exactly".to_owned()))),
        ("ops × byte 9 bit 3".to_owned(), Box::new(|| Err("a loss".to_owned()))),
    ];
    let panic = catch_unwind(AssertUnwindSafe(|| run_all(trials, Some(5)))).unwrap_err();
    assert_eq!(
        words(panic.as_ref()),
        "panicked: 2 of 3 trials; ADPIPE_TEST_SEED=5 does the same again:\n\
         log × byte 7 bit 1: panicked: no rows\nops × byte 9 bit 3: a loss"
    );
}

#[test]
fn each_store_gone_older_newer_truncated_or_anothers() {
    let base = base();
    let mut trials: Vec<NamedTrial> = Vec::new();
    for (store, file) in STORES {
        for damage in ["gone", "older copy", "newer copy", "truncated", "another's"] {
            trials.push((
                format!("{store} × {damage}"),
                Box::new(move || {
                    let moment = if damage == "newer copy" { "older" } else { "newer" };
                    let trial = Trial::of(&base.folder, moment);
                    let path = trial.folder.join("data").join(file);
                    match damage {
                        "gone" => replace(Path::new("/nowhere"), &path),
                        "older copy" => replace(&base.folder.join("older").join(file), &path),
                        "newer copy" => replace(&base.folder.join("newer").join(file), &path),
                        "another's" => replace(&base.folder.join("another").join(file), &path),
                        _ => {
                            let length = std::fs::metadata(&path).unwrap().len();
                            let file = std::fs::File::options().write(true).open(&path).unwrap();
                            file.set_len(length / 2).unwrap();
                        }
                    }
                    // What a newer log has more than the others have seen is simply processed.
                    let is_newer_log = (store, damage) == ("event log", "newer copy");
                    trial.outcome(&expected_at(base, if is_newer_log { "newer" } else { moment }))
                }),
            ));
        }
    }
    for damage in [
        "one part gone",
        "one part truncated",
        "one part empty",
        "folder gone",
        "older copy",
        "newer copy",
        "another's",
    ] {
        trials.push((
            format!("archive × {damage}"),
            Box::new(move || {
                let moment = if damage == "newer copy" { "older" } else { "newer" };
                let trial = Trial::of(&base.folder, moment);
                let data = trial.folder.join("data");
                let part = parts(&data)[0].clone();
                let whole = |from: &str| {
                    std::fs::remove_dir_all(data.join("processed")).unwrap();
                    copy_tree(&base.folder.join(from).join("processed"), &data.join("processed"));
                };
                match damage {
                    "one part gone" => std::fs::remove_file(part).unwrap(),
                    "one part truncated" => {
                        let length = std::fs::metadata(&part).unwrap().len();
                        std::fs::File::options()
                            .write(true)
                            .open(&part)
                            .unwrap()
                            .set_len(length / 2)
                            .unwrap();
                    }
                    "one part empty" => std::fs::write(part, "").unwrap(),
                    "folder gone" => std::fs::remove_dir_all(data.join("processed")).unwrap(),
                    "older copy" => whole("older"),
                    "newer copy" => whole("newer"),
                    _ => whole("another"),
                }
                trial.outcome(&expected_at(base, moment))
            }),
        ));
    }
    run_all(trials, None);
}

/// What the everyday commands make of a folder to which nothing was done.
fn expected_at(base: &'static Base, moment: &str) -> Content {
    static OLDER: OnceLock<Content> = OnceLock::new();
    if moment == "newer" {
        return base.expected.clone();
    }
    OLDER
        .get_or_init(|| {
            let trial = Trial::of(&base.folder, "older");
            assert_eq!(trial.everyday(), Vec::<String>::new());
            trial.content().expect("it can be read")
        })
        .clone()
}

#[test]
fn any_bit_of_any_store_flipped() {
    let (seed, flips) = (seed(), flips(FLIPS));
    let base = base();
    let mut dice = Dice(seed);
    let parts = parts(&base.folder.join("newer"));
    let mut trials: Vec<NamedTrial> = Vec::new();
    for number in 0..flips * (STORES.len() as u64 + 1) {
        let store = (number % (STORES.len() as u64 + 1)) as usize;
        let (place, bit) = (dice.below(u64::from(u32::MAX)), dice.below(8));
        let newer = base.folder.join("newer");
        let whole = match STORES.get(store) {
            Some((_, file)) => newer.join(file),
            None => parts[place as usize % parts.len()].clone(),
        };
        let file = whole.strip_prefix(&newer).unwrap().to_owned();
        let name =
            STORES.get(store).map_or_else(|| file.display().to_string(), |(name, _)| (*name).to_owned());
        let byte = place % std::fs::metadata(&whole).unwrap().len();
        trials.push((
            format!("{name} × byte {byte} bit {bit}"),
            Box::new(move || {
                let trial = Trial::of(&base.folder, "newer");
                let path = trial.folder.join("data").join(&file);
                let mut bytes = std::fs::read(&path).unwrap();
                bytes[byte as usize] ^= 1 << bit;
                std::fs::write(&path, bytes).unwrap();
                trial.outcome(&base.expected)
            }),
        ));
    }
    run_all(trials, Some(seed));
}
