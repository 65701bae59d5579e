//! `kill -9` at any moment: every announcement is told, and none twice unless the process died
//! between Slack's answer and the journal's line.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use adpipe_event::Millis;
use adpipe_monitor::announce::{Announce, Change};
use adpipe_testkit::slack::Slack;
use adpipe_testkit::{eventually, seed};
use common::announcements::announcement;
use common::{Running, files, quick};
use rand::{RngExt, SeedableRng};

const ALERTS: usize = 30;
const KILLS: usize = 12;

/// The process that is killed: announces, as the monitor does after each start, everything that
/// it is not sure of. Does nothing unless the other test starts it.
#[test]
fn announcing_process() {
    let (Ok(spool), Ok(url)) = (std::env::var("ADPIPE_TEST_SPOOL"), std::env::var("ADPIPE_TEST_URL")) else {
        return;
    };
    let config =
        quick(", \"throttle\": {\"messages_per_hour\": 100000, \"messages_per_hour_of_a_kind\": 100000}");
    let mut running = Running::start(Path::new(&spool), Some(&url), config);
    for index in 0..ALERTS {
        let mut failed = announcement("DagFailed", &format!("{index:03}"), Change::Fired, Millis::now());
        failed.alert.labels.insert("dag".to_owned(), dag(index));
        running.notifier.announce(&failed).unwrap();
        println!("announced {index}");
        // So that a kill finds some announced and some not.
        std::thread::sleep(Duration::from_millis(20));
    }
    eventually("all is told", || files(Path::new(&spool), "waiting").is_empty());
    running.end();
    println!("all told");
}

/// How many messages the journal knows, those of an hour.
fn noted(spool: &Path) -> usize {
    let text = std::fs::read_to_string(spool.join("journal.ndjson")).unwrap_or_default();
    let lines = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    lines.filter(|line| line["outcome"] == "sent" && line["kind"] != "").count()
}

/// The alerts that a message tells of.
fn alerts(body: &str) -> Vec<usize> {
    (0..ALERTS).filter(|index| body.contains(&dag(*index))).collect()
}

fn dag(index: usize) -> String {
    format!("dag-{index:03}")
}

#[test]
fn killed_at_any_moment_it_tells_each_alert() {
    let seed = seed();
    let mut random = rand_pcg::Pcg64Mcg::seed_from_u64(seed);
    let (slack, folder) = (Slack::start(), tempfile::tempdir().unwrap());
    let (mut kills, mut windows) = (0, Vec::new());
    loop {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "announcing_process", "--nocapture"])
            .env("ADPIPE_TEST_SPOOL", folder.path())
            .env("ADPIPE_TEST_URL", slack.url())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Killed so many lines later; the last process is left to finish.
        let stop_after = if kills < KILLS { random.random_range(1..ALERTS) } else { usize::MAX };
        let mut is_done = false;
        for (index, line) in lines.map_while(Result::ok).enumerate() {
            is_done |= line.contains("all told");
            if index >= stop_after {
                std::thread::sleep(Duration::from_micros(random.random_range(0..30_000)));
                break;
            }
        }
        if is_done {
            assert!(child.wait().unwrap().success());
            break;
        }
        let _ = child.kill();
        child.wait().unwrap();
        kills += 1;
        slack.settle();
        // A post that Slack took and the journal does not know: the one window.
        let taken = slack.posted();
        let unknown = taken.len() - noted(folder.path()) - windows.len();
        assert!(unknown <= 1, "{unknown} messages that the journal does not know");
        windows.extend(taken.last().filter(|_| unknown == 1).cloned());
    }
    assert_eq!(kills, KILLS);
    let mut told: BTreeMap<usize, usize> = BTreeMap::new();
    for index in slack.posted().iter().flat_map(|body| alerts(body)) {
        *told.entry(index).or_default() += 1;
    }
    let again: Vec<usize> = windows.iter().flat_map(|body| alerts(body)).collect();
    println!("{kills} kills, {} of them between Slack's answer and the journal", windows.len());
    for index in 0..ALERTS {
        let expected = 1 + again.iter().filter(|other| **other == index).count();
        assert_eq!(told.get(&index), Some(&expected), "alert {index}; {again:?} may be told again");
    }
    assert_eq!(files(folder.path(), "told").len(), ALERTS);
    assert_eq!(slack.problems(), Vec::<String>::new());
}
