//! Each store gone, older, newer or another data set's: it continues exactly, or stops its part with a
//! message that names the cure. Never a silent loss, a double count, or "zero residue".

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use adpipe_testkit::eventually;
use common::{ADPIPE, Folder, Running, shown};
use serde_json::Value;

/// Some lines, good and bad, that no other number gives.
fn lines(number: u32, good: u32, bad: u32) -> String {
    let good = (0..good).map(|row| {
        format!(
            "{{\"id\":\"{}\",\"click\":{},\"hour\":\"14102100\",\"banner_pos\":0,\"device_type\":1,\
             \"device_conn_type\":0,\"site_id\":\"s\",\"site_domain\":\"d\",\"site_category\":\"c\",\
             \"app_id\":\"a\",\"app_domain\":\"b\",\"app_category\":\"e\",\"device_id\":\"f\",\
             \"device_ip\":\"g\",\"device_model\":\"h\"}}\n",
            u64::from(number) * 1_000_000 + u64::from(row),
            row % 2
        )
    });
    let bad = (0..bad).map(|row| format!("{{\"id\":\"bad-{number}-{row}\"}}\n"));
    good.chain(bad).collect()
}

fn number(folder: &Folder, sql: &str) -> u64 {
    folder.row(sql)["n"].as_u64().unwrap_or(0)
}

fn valid(folder: &Folder) -> u64 {
    number(folder, "select sum(valid) as n from realtime.commits")
}

fn queued(folder: &Folder) -> u64 {
    number(folder, "select count(*) as n from errors.dlq_errors")
}

/// Runs everything until these are counted and in the queue, and ends it in order.
fn work(folder: &Folder, body: &str, expected_valid: u64, expected_errors: u64) {
    let mut up = Running::start(folder.adpipe(&["up"]));
    assert_eq!(up.request("POST", "/v1/events", body.as_bytes()).0, 202);
    eventually("all is counted", || valid(folder) == expected_valid);
    eventually("all errors are in the queue", || queued(folder) == expected_errors);
    stop(&mut up);
}

fn stop(up: &mut Running) -> Option<i32> {
    up.signal("TERM");
    up.child.wait().unwrap().code()
}

fn copy_folder(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-rp").arg(from).arg(to).status().unwrap();
    assert!(status.success());
}

/// Puts a store's files of another folder in the place of those there; none, when there is no other.
fn replace(data: &Path, store: &str, by: Option<&Path>) {
    for end in ["", "-wal", "-shm"] {
        let name = format!("{store}.db{end}");
        let _ = std::fs::remove_file(data.join(&name));
        if let Some(by) = by
            && by.join(&name).exists()
        {
            std::fs::copy(by.join(&name), data.join(&name)).unwrap();
        }
    }
}

/// Three states of data: early, late (of the same), and another's.
struct States {
    folder: Folder,
}

const EARLY: (u64, u64) = (2_000, 20);
const LATE: (u64, u64) = (3_000, 30);

impl States {
    fn make() -> States {
        let folder = Folder::new();
        work(&folder, &lines(1, 2_000, 20), EARLY.0, EARLY.1);
        copy_folder(&folder.join("data"), &folder.join("early"));
        // A person acts on an error, which no log remembers.
        let first = folder.row("select min(error_id) as id from errors.dlq_errors");
        let id = first["id"].as_str().unwrap();
        folder.run(&["dlq", "discard", "--yes", id, "--reason", "known"]);
        work(&folder, &lines(2, 1_000, 10), LATE.0, LATE.1);
        copy_folder(&folder.join("data"), &folder.join("late"));
        std::fs::remove_dir_all(folder.join("data")).unwrap();
        work(&folder, &lines(3, 500, 5), 500, 5);
        copy_folder(&folder.join("data"), &folder.join("another"));
        std::fs::remove_dir_all(folder.join("data")).unwrap();
        States { folder }
    }

    /// A folder of its own for one case.
    fn lay(&self, store: &str, case: &str) -> Folder {
        let folder = Folder::new();
        let state = |name: &str| self.folder.join(name);
        copy_folder(&state(if case == "newer" { "early" } else { "late" }), &folder.join("data"));
        let by = match case {
            "gone" => None,
            "older" => Some(state("early")),
            "newer" => Some(state("late")),
            _ => Some(state("another")),
        };
        replace(&folder.join("data"), store, by.as_deref());
        folder
    }
}

/// What came of a case: the stores that are stopped, and a line for the table.
struct Outcome {
    stopped: Vec<String>,
    words: String,
}

/// Starts everything, sends more, and looks at what came of it. The exact sums must hold for whatever
/// is not stopped.
fn outcome(folder: &Folder, store: &str, case: &str) -> Outcome {
    let what = format!("{store} {case}");
    let before: Value = {
        let output = folder.adpipe(&["stores", "--json"]).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{what}: {}", shown(&output)))
    };
    let standing = |stores: &Value| -> Vec<(String, String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let of = |store: &Value| (text(&store["store"]), text(&store["state"]), text(&store["message"]));
        stores["stores"].as_array().unwrap().iter().map(of).collect()
    };
    let stopped: Vec<(String, String)> = standing(&before)
        .into_iter()
        .filter(|(_, state, _)| state == "stopped")
        .map(|(store, _, message)| (store, message))
        .collect();
    for (store, message) in &stopped {
        // Another log cannot be accepted: its records are not ours to count or to remove.
        let cure = format!("adpipe stores accept {store}");
        assert!(message.contains("back") && (store == "log" || message.contains(&cure)), "{what}: {message}");
    }
    let is_stopped = |store: &str| stopped.iter().any(|(stopped, _)| stopped == store);
    if is_stopped("log") {
        let words = folder.fail(1, &["up"]);
        assert!(
            words.contains("store log is stopped") && words.contains("move this one away"),
            "{what}: {words}"
        );
        for command in [vec!["ingest", "/dev/null"], vec!["etl"]] {
            folder.fail(1, &command);
        }
        assert_ne!(folder.adpipe(&["verify"]).output().unwrap().status.code(), Some(0), "{what}");
        return Outcome { stopped: vec!["log".to_owned()], words: stopped[0].1.clone() };
    }
    let base = match (case, store) {
        ("newer", "log" | "realtime") | ("gone" | "older" | "another's", _) => LATE,
        _ => EARLY,
    };
    let mut up = Running::start(folder.adpipe(&["up"]));
    // Console and ways in work, whatever is stopped.
    assert_eq!(up.request("POST", "/v1/events", lines(9, 300, 3).as_bytes()).0, 202, "{what}");
    assert_eq!(up.request("GET", "/", b"").0, 200, "{what}");
    if !is_stopped("realtime") {
        eventually(&format!("{what}: all is counted"), || valid(folder) == base.0 + 300);
        if !is_stopped("errors") {
            eventually(&format!("{what}: all errors are in the queue"), || queued(folder) == base.1 + 3);
        }
    }
    let (_, ready) = up.request("GET", "/readyz", b"");
    for (store, roles) in
        [("realtime", &["stream", "dlq"][..]), ("errors", &["dlq"]), ("ops", &["scheduler", "monitor"])]
    {
        for role in roles.iter().filter(|_| is_stopped(store)) {
            assert!(ready.contains(&format!("role {role} has stopped")), "{what}: {ready}");
        }
    }
    let (_, metrics) = up.request("GET", "/metrics", b"");
    let is_up = |role: &str| metrics.contains(&format!("adpipe_role_up{{role=\"{role}\"}} 1"));
    assert_eq!(is_up("stream"), !is_stopped("realtime"), "{what}: {metrics}");
    let code = stop(&mut up);
    assert_eq!(code, Some(i32::from(!stopped.is_empty())), "{what}");

    let verdict = folder.adpipe(&["verify"]).output().unwrap();
    let report = folder.adpipe(&["doctor"]).output().unwrap();
    if stopped.is_empty() {
        assert!(shown(&verdict).contains("zero residue"), "{what}: {}", shown(&verdict));
        assert!(!shown(&report).contains("BAD   stores"), "{what}: {}", shown(&report));
        let messages = standing(&before).into_iter().filter(|(_, state, _)| state == "goes on");
        let words = messages.map(|(store, _, message)| format!("{store}: {message}")).collect::<Vec<_>>();
        let words = if words.is_empty() { "goes on exactly".to_owned() } else { words.join("; ") };
        Outcome { stopped: Vec::new(), words }
    } else {
        assert!(!shown(&verdict).contains("zero residue"), "{what}: {}", shown(&verdict));
        assert_eq!(report.status.code(), Some(1), "{what}: {}", shown(&report));
        let words = stopped.iter().map(|(store, message)| format!("{store}: {message}"));
        Outcome {
            words: words.collect::<Vec<_>>().join("; "),
            stopped: stopped.into_iter().map(|(store, _)| store).collect(),
        }
    }
}

/// The table that docs/OPERATIONS.md has. Before "late" a person acted on an error.
const MATRIX: [(&str, &str, &[&str]); 16] = [
    ("log", "gone", &[]),
    ("log", "older", &[]),
    ("log", "newer", &[]),
    ("log", "another's", &["log"]),
    ("realtime", "gone", &[]),
    ("realtime", "older", &[]),
    ("realtime", "newer", &["errors", "ops"]),
    ("realtime", "another's", &["realtime"]),
    ("errors", "gone", &["errors"]),
    ("errors", "older", &["errors"]),
    ("errors", "newer", &["realtime", "ops"]),
    ("errors", "another's", &["errors"]),
    ("ops", "gone", &["ops"]),
    ("ops", "older", &["ops"]),
    ("ops", "newer", &["realtime", "errors"]),
    ("ops", "another's", &["ops"]),
];

#[test]
fn every_store_goes_on_exactly_or_stops_with_a_cure() {
    let states = States::make();
    for (store, case, expected) in MATRIX {
        let folder = states.lay(store, case);
        let outcome = outcome(&folder, store, case);
        let state = if outcome.stopped.is_empty() {
            "goes on".to_owned()
        } else {
            format!("stops {}", outcome.stopped.join(", "))
        };
        println!("| {store} | {case} | {state} | {} |", outcome.words);
        assert_eq!(outcome.stopped, expected, "{store} {case}: {}", outcome.words);
    }
}

#[test]
fn what_is_stopped_is_accepted_on_the_record_and_goes_on() {
    let states = States::make();
    let folder = states.lay("errors", "gone");
    let words = folder.fail(1, &["dlq", "discard", "--all", "--yes", "--reason", "x"]);
    assert!(words.contains("errors is stopped"), "{words}");
    folder.run(&["stores", "accept", "errors"]);
    let stores: Value = serde_json::from_str(&folder.run(&["stores", "--json"])).unwrap();
    assert_eq!(stores["stores"][2]["epoch"], 2, "{stores}");
    assert!(number(&folder, "select count(*) as n from errors.accepted where actor <> ''") == 1);
    // Its topic is still there, so all errors come again, and new ones.
    work(&folder, &lines(9, 300, 3), LATE.0 + 300, LATE.1 + 3);
    folder.run(&["verify"]);
    let words = folder.fail(1, &["stores", "accept", "errors"]);
    assert!(words.contains("nothing to accept"), "{words}");

    // Another data set's ops, which nobody needs back.
    let folder = states.lay("ops", "another's");
    folder.run(&["stores", "accept", "ops"]);
    work(&folder, &lines(9, 300, 3), LATE.0 + 300, LATE.1 + 3);
    folder.run(&["verify"]);

    // Another log is moved away, whatever is in it.
    let folder = states.lay("log", "another's");
    let words = folder.fail(1, &["stores", "accept", "log"]);
    assert!(words.contains("another log cannot be accepted"), "{words}");
    replace(&folder.join("data"), "log", None);
    work(&folder, &lines(9, 300, 3), LATE.0 + 300, LATE.1 + 3);
    folder.run(&["verify"]);

    // The newest copy put back needs no word.
    let folder = states.lay("errors", "older");
    folder.fail(1, &["stores"]);
    replace(&folder.join("data"), "errors", Some(&states.folder.join("late")));
    folder.run(&["stores"]);
    work(&folder, &lines(9, 300, 3), LATE.0 + 300, LATE.1 + 3);
    folder.run(&["verify"]);
}

#[test]
fn a_queue_that_is_gone_is_filled_again_when_nobody_acted_in_it() {
    let folder = Folder::new();
    work(&folder, &lines(1, 2_000, 20), 2_000, 20);
    replace(&folder.join("data"), "errors", None);
    work(&folder, &lines(2, 300, 3), 2_300, 23);
    folder.run(&["verify"]);
    folder.run(&["stores"]);
}

#[test]
fn errors_go_on_behind_a_log_that_is_gone() {
    let folder = Folder::new();
    work(&folder, &lines(1, 0, 5_000), 0, 5_000);
    std::fs::remove_file(folder.join("data/log.db")).unwrap();
    work(&folder, &lines(2, 0, 3_000), 0, 8_000);
    folder.run(&["verify"]);
}

#[test]
fn records_that_went_with_the_log_are_named_until_they_are_accepted() {
    let folder = Folder::new();
    work(&folder, &lines(1, 1_000, 10), 1_000, 10);
    // Acknowledged, and nobody counts them.
    std::fs::write(folder.join("more.ndjson"), lines(2, 500, 0)).unwrap();
    folder.run(&["ingest", "more.ndjson"]);
    replace(&folder.join("data"), "log", None);

    work(&folder, &lines(3, 200, 2), 1_200, 12);
    let stores = folder.adpipe(&["stores", "--json"]).output().unwrap();
    assert_eq!(stores.status.code(), Some(1), "{}", shown(&stores));
    let stores: Value = serde_json::from_slice(&stores.stdout).unwrap();
    let records =
        |lost: &Value| lost["next_offset"].as_u64().unwrap() - lost["first_offset"].as_u64().unwrap();
    let lost: u64 = stores["lost"].as_array().unwrap().iter().map(records).sum();
    assert_eq!(lost, 500, "{stores}");
    for command in ["verify", "doctor"] {
        let output = folder.adpipe(&[command]).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", shown(&output));
        let words = shown(&output);
        assert!(words.contains("send again what was sent") && words.contains("stores accept log"), "{words}");
        assert!(!words.contains("zero residue"), "{words}");
    }
    // Sent again, and accepted.
    folder.run(&["ingest", "--wait", "more.ndjson"]);
    folder.run(&["stores", "accept", "log"]);
    assert_eq!(valid(&folder), 1_700);
    folder.run(&["verify"]);
}

#[test]
fn a_warehouse_that_is_gone_is_not_begun_anew_beside_an_archive() {
    let folder = Folder::new();
    std::fs::create_dir_all(folder.join("data/raw")).unwrap();
    folder.generate("data/raw/2014-10-21.csv", &["--rows", "2000", "--format", "csv"]);
    folder.run(&["etl"]);
    for store in ["realtime", "errors", "ops"] {
        replace(&folder.join("data"), store, None);
    }
    folder.fail(1, &["etl"]);
    let words = shown(&folder.adpipe(&["stores"]).output().unwrap());
    assert!(words.contains("it is gone: the archive has parts"), "{words}");
    assert!(words.contains("adpipe rebuild") && words.contains("stores accept realtime"), "{words}");
    // The copy that comes back fits at once.
    let output = folder.adpipe(&["verify"]).output().unwrap();
    assert!(!shown(&output).contains("zero residue"), "{}", shown(&output));
}

#[test]
fn data_from_before_stores_had_identities_is_adopted_once() {
    let folder = Folder::new();
    work(&folder, &lines(1, 2_000, 20), 2_000, 20);
    // As the migration leaves them: tables that nothing has been written to.
    for store in ["realtime", "errors", "ops"] {
        let database = rusqlite::Connection::open(folder.join(&format!("data/{store}.db"))).unwrap();
        database.execute_batch("delete from identity; delete from peers; delete from accepted;").unwrap();
    }
    work(&folder, &lines(2, 300, 3), 2_300, 23);
    let stores: Value = serde_json::from_str(&folder.run(&["stores", "--json"])).unwrap();
    let data_id = |index: usize| stores["stores"][index]["data_id"].as_str().unwrap().to_owned();
    assert!(data_id(1) == data_id(2) && data_id(2) == data_id(3), "{stores}");
    folder.run(&["verify"]);
}

#[test]
fn a_role_that_fails_ends_alone_and_is_shown() {
    let folder = Folder::new();
    work(&folder, &lines(1, 1_000, 10), 1_000, 10);
    std::fs::write(folder.join("more.ndjson"), lines(2, 500, 0)).unwrap();
    folder.run(&["ingest", "more.ndjson"]);
    let log = rusqlite::Connection::open(folder.join("data/log.db")).unwrap();
    let newest =
        "chunk_id in (select max(chunk_id) from chunks where topic = 'ad_events_raw' group by partition)";
    let sound: Vec<(i64, Vec<u8>)> = {
        let mut statement =
            log.prepare(&format!("select chunk_id, data from chunks where {newest}")).unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    };
    log.execute_batch(&format!("update chunks set data = zeroblob(length(data)) where {newest}")).unwrap();

    // Alone, the process ends with it.
    let output = folder.adpipe(&["run", "stream"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", shown(&output));

    let mut up = Running::start(folder.adpipe(&["up"]));
    eventually("the role is named", || {
        up.request("GET", "/readyz", b"").1.contains("role stream has stopped")
    });
    let (status, answer) = up.request("GET", "/readyz", b"");
    assert!(status == 200 && answer.contains("log.db"), "{answer}");
    assert_eq!(up.request("POST", "/v1/events", lines(3, 100, 0).as_bytes()).0, 202);
    let (_, metrics) = up.request("GET", "/metrics", b"");
    assert!(metrics.contains("adpipe_role_up{role=\"stream\"} 0"), "{metrics}");
    assert!(metrics.contains("adpipe_role_up{role=\"dlq\"} 1"), "{metrics}");
    let report = folder.adpipe(&["doctor"]).output().unwrap();
    assert!(shown(&report).contains("stream has stopped"), "{}", shown(&report));

    // The disk is well again: so is the role, by itself.
    for (chunk, data) in sound {
        log.execute("update chunks set data = ?2 where chunk_id = ?1", rusqlite::params![chunk, data])
            .unwrap();
    }
    eventually("the role works again", || valid(&folder) == 1_600);
    eventually("it says so", || !up.request("GET", "/readyz", b"").1.contains("has stopped"));
    assert_eq!(stop(&mut up), Some(0));
    folder.run(&["verify"]);
}

#[test]
fn nobody_else_can_read_what_adpipe_keeps() {
    let folder = Folder::new();
    let with_umask = |arguments: &str| {
        let script = format!("umask 022; exec {ADPIPE} --data data {arguments}");
        let mut command = Command::new("sh");
        command.args(["-c", &script]).current_dir(folder.path()).env("ADPIPE_CONSOLE__PORT", "0");
        command
    };
    let open_ones = || -> Vec<String> {
        let found = Command::new("find")
            .args(["data", "-perm", "/077", "-not", "-path", "data/raw*", "-not", "-path", "data/processed*"])
            .current_dir(folder.path())
            .output()
            .unwrap();
        String::from_utf8(found.stdout).unwrap().lines().map(str::to_owned).collect()
    };
    let run_all = || {
        let mut up = Running::start(with_umask("up"));
        assert_eq!(up.request("POST", "/v1/events", lines(1, 100, 5).as_bytes()).0, 202);
        eventually("all is counted", || valid(&folder) >= 100);
        // A task leaves a log.
        with_umask("dag run dag_dlq_alert").output().unwrap();
        stop(&mut up);
    };
    run_all();
    assert!(folder.join("data/task-logs").exists());
    assert_eq!(open_ones(), Vec::<String>::new());

    // Files of before are tightened.
    assert!(Command::new("chmod").args(["-R", "go+rX"]).arg(folder.join("data")).status().unwrap().success());
    assert!(!open_ones().is_empty());
    run_all();
    let old = |path: &str| std::fs::metadata(folder.join(path)).unwrap().permissions().mode() & 0o077;
    for path in ["data", "data/log.db", "data/realtime.db", "data/errors.db", "data/ops.db", "data/task-logs"]
    {
        assert_eq!(old(path), 0, "{path} is {:o}", old(path));
    }
}
