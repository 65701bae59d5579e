//! Whatever is killed whenever: every event is counted once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use std::process::Stdio;
use std::time::Duration;

use adpipe_testkit::{Dice, eventually, seed};
use common::{Folder, Running};
use serde_json::Value;

/// Kills with -9, at moments drawn from a seed.
const KILLS: u32 = 50;

#[test]
fn the_account_equals_the_generators_own() {
    let folder = Folder::new();
    for (file, format) in [("a.ndjson", "ndjson"), ("b.csv", "csv")] {
        let seed = if format == "csv" { "5" } else { "6" };
        let made = folder.generate(
            file,
            &["--rows", "50000", "--seed", seed, "--bad", "0.02", "--duplicates", "0.03", "--format", format],
        );
        let other = Folder::new();
        std::fs::copy(folder.join(file), other.join(file)).unwrap();
        other.run(&["ingest", "--wait", file]);
        assert_eq!(other.account(), made, "{file}");
        other.run(&["verify"]);
        // The same file again changes nothing.
        let before = other.row("select sum(impressions) as i, sum(clicks) as c from realtime.metrics_hourly");
        other.run(&["ingest", "--wait", file]);
        let after = other.row("select sum(impressions) as i, sum(clicks) as c from realtime.metrics_hourly");
        assert_eq!(before, after);
        other.run(&["verify"]);
    }
}

#[test]
fn fifty_kills_change_no_sum() {
    let seed = seed();
    let mut dice = Dice(seed);
    let folder = Folder::new();
    let made = folder.generate(
        "events.csv",
        &["--rows", "600000", "--seed", "7", "--bad", "0.01", "--duplicates", "0.02", "--format", "csv"],
    );

    let ingest = || {
        let mut command = folder.adpipe(&["ingest", "events.csv"]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let mut ingesting = ingest();
    let mut is_ingested = false;
    let mut kills = 0;
    let mut rounds = 0;
    let mut pipeline = start_up(&folder);
    while kills < KILLS {
        rounds += 1;
        // Chance says how long they work.
        std::thread::sleep(Duration::from_millis(5 + dice.below(120)));
        // The ingest is killed while it lasts; the pipeline in any case.
        let what = dice.below(3);
        if what != 0 && !is_ingested {
            match ingesting.try_wait().unwrap() {
                Some(status) => is_ingested = status.success(),
                None => {
                    ingesting.kill().unwrap();
                    ingesting.wait().unwrap();
                    kills += 1;
                }
            }
            if !is_ingested {
                ingesting = ingest();
            }
        }
        if what != 1 || is_ingested {
            pipeline.kill().unwrap();
            pipeline.wait().unwrap();
            kills += 1;
            pipeline = start_up(&folder);
        }
        assert!(rounds < 1_000, "seed {seed}: the kills do not hit anything");
    }
    if !is_ingested && !ingesting.wait().unwrap().success() {
        folder.run(&["ingest", "events.csv"]);
    }
    // A kill between the last append and the end of the process has the file taken anew from its
    // beginning, as one that is given twice: whole, and as duplicates only.
    let records = |account: &Value| account["records"].as_u64().unwrap();
    let all = records(&made);
    eventually("everything is committed", || {
        let committed = records(&folder.account());
        committed > 0 && committed.is_multiple_of(all)
    });
    pipeline.kill().unwrap();
    pipeline.wait().unwrap();

    let account = folder.account();
    let times = records(&account) / all;
    let mut expected = made.clone();
    for invalid in ["parse", "schema", "validation", "future"] {
        expected[invalid] = Value::from(made[invalid].as_u64().unwrap() * times);
    }
    let again = made["valid"].as_u64().unwrap() * (times - 1);
    expected["duplicates"] = Value::from(made["duplicates"].as_u64().unwrap() * times + again);
    expected["records"] = Value::from(all * times);
    assert_eq!(account, expected, "seed {seed}");
    let verdict = folder.run(&["verify", "--deep"]);
    assert!(verdict.contains("zero residue"), "seed {seed}: {verdict}");
    let hourly = folder.row("select sum(impressions) as i, sum(clicks) as c from realtime.metrics_hourly");
    assert_eq!((&hourly["i"], &hourly["c"]), (&made["valid"], &made["clicks"]), "seed {seed}");
}

/// `adpipe up`, whose first moments are worth killing, too: nothing is waited for.
fn start_up(folder: &Folder) -> std::process::Child {
    folder.adpipe(&["up"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn what_http_acknowledged_survives_kill_9() {
    let folder = Folder::new();
    let made = folder.generate("events.ndjson", &["--rows", "20000", "--seed", "8"]);
    let events = std::fs::read(folder.join("events.ndjson")).unwrap();
    let lines: Vec<&[u8]> = events.split_inclusive(|byte| *byte == b'\n').collect();
    let mut acknowledged = 0;
    for chunk in lines.chunks(4_000) {
        let up = Running::start(folder.adpipe(&["up"]));
        let (status, answer) = up.request("POST", "/v1/events", &chunk.concat());
        assert_eq!(status, 202, "{answer}");
        acknowledged += chunk.len();
        // Dropping it is kill -9, most likely before the processor has seen the records.
        drop(up);
    }
    assert_eq!(acknowledged, 20_000);
    let _up = Running::start(folder.adpipe(&["up"]));
    eventually("everything is committed", || folder.account()["records"] == 20_000);
    assert_eq!(folder.account(), made);
    folder.run(&["verify", "--deep"]);
}

#[test]
fn two_processes_write_the_same_file_at_once() {
    let folder = Folder::new();
    folder.generate("events.ndjson", &["--rows", "30000", "--seed", "9"]);
    std::fs::copy(folder.join("events.ndjson"), folder.join("again.ndjson")).unwrap();
    let first = folder.adpipe(&["ingest", "--wait", "events.ndjson"]).stdout(Stdio::null()).spawn().unwrap();
    let second = folder.adpipe(&["ingest", "--wait", "again.ndjson"]).stdout(Stdio::null()).spawn().unwrap();
    for mut child in [first, second] {
        assert!(child.wait().unwrap().success());
    }
    let account = folder.account();
    assert_eq!((account["valid"].as_u64(), account["duplicates"].as_u64()), (Some(30_000), Some(30_000)));
    folder.run(&["verify", "--deep"]);
}
