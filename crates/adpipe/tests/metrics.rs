//! `/metrics` of every role: everything that the role knows is there, and nothing else.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panic")]

mod common;

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use adpipe_metrics::{FAMILIES, Role, exported};
use adpipe_testkit::http::page;
use adpipe_testkit::{eventually, eventually_eq};
use common::{Folder, Killed, Running};

/// What comes with an event that a short test does not have: a DAG's success.
const LATER: [&str; 1] = ["adpipe_scheduler_last_success_timestamp_seconds"];

/// The body of a 200; empty while nobody listens.
fn get(address: &str, path: &str) -> String {
    page(address, path).unwrap_or_default()
}

/// Families that a process playing these roles has to have, and all that it may have.
fn of_roles(roles: &[Role]) -> (BTreeSet<&'static str>, BTreeSet<&'static str>) {
    let may: BTreeSet<&str> = FAMILIES
        .iter()
        .filter(|family| family.roles.iter().any(|role| roles.contains(role)))
        .map(|family| family.name)
        .collect();
    let must = may.iter().copied().filter(|name| !LATER.contains(name)).collect();
    (must, may)
}

/// Waits until everything is there; gives the text.
fn await_families(address: &str, roles: &[Role]) -> String {
    let (must, may) = of_roles(roles);
    let mut text = String::new();
    let found = |text: &str| -> BTreeSet<String> { exported(text).into_keys().map(str::to_owned).collect() };
    eventually_eq(&format!("{roles:?} exports all"), &BTreeSet::new(), || {
        text = get(address, "/metrics");
        let found = found(&text);
        must.iter().copied().filter(|name| !found.contains(*name)).collect()
    });
    for name in found(&text) {
        assert!(may.contains(name.as_str()), "{roles:?} cannot know {name}:\n{text}");
    }
    for family in FAMILIES.iter().filter(|family| exported(&text).contains_key(family.name)) {
        assert_eq!(exported(&text)[family.name], family.kind.name(), "{}", family.name);
    }
    text
}

/// promtool has nothing to say against it.
fn assert_clean(test: &str, text: &str) {
    let tool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut tool) = tool else {
        adpipe_testkit::skip(test, "promtool is not installed");
        return;
    };
    tool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = tool.wait_with_output().unwrap();
    let words =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && words.is_empty(), "{words}\n{text}");
}

#[test]
fn each_role_exports_what_it_knows() {
    let folder = Folder::new();
    folder.generate("some.csv", &["--rows", "2000", "--bad", "0.02", "--seed", "7"]);
    folder.run(&["ingest", folder.join("some.csv").to_str().unwrap()]);
    let mut running = Vec::new();
    for role in [Role::Stream, Role::Dlq, Role::Scheduler] {
        let port = adpipe_testkit::free_port().to_string();
        let mut command = folder.adpipe(&["run", role.name()]);
        command.env("ADPIPE_METRICS__PORT", &port).stdout(Stdio::null());
        running.push(Killed(command.spawn().unwrap()));
        let address = format!("127.0.0.1:{port}");
        // The errors must have come to the queue before it can tell of the oldest.
        let text = await_families(&address, &[role]);
        assert_clean("each_role_exports_what_it_knows", &text);
        assert_eq!(get(&address, "/healthz"), "ok\n");
        assert_eq!(get(&address, "/"), "", "nothing else is there");
        if role == Role::Stream {
            // Both figures are the commits', whoever counts.
            eventually("everything is counted", || {
                get(&address, "/metrics")
                    .contains("adpipe_log_lag_records{partition=\"0\",topic=\"ad_events_raw\"} 0\n")
            });
            let account = folder.account();
            let text = get(&address, "/metrics");
            for (outcome, word) in [("valid", "valid"), ("duplicate", "duplicates")] {
                let series =
                    format!("adpipe_events_processed_total{{outcome=\"{outcome}\"}} {}\n", account[word]);
                assert!(text.contains(&series), "{series} is not in\n{text}");
            }
        }
    }
    let rows = folder.run(&["sql", "--json", "select roles, ended_at from ops.processes order by roles"]);
    let rows: serde_json::Value = serde_json::from_str(&rows).unwrap();
    let roles: Vec<&str> =
        rows.as_array().unwrap().iter().map(|row| row["roles"].as_str().unwrap()).collect();
    assert_eq!(roles, ["dlq", "scheduler", "stream"]);

    // Ended in order, they say so; killed, they cannot.
    for Killed(child) in &running[1..] {
        assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    }
    for Killed(child) in &mut running[1..] {
        assert!(child.wait().unwrap().success());
    }
    running.truncate(1);
    drop(running);
    let rows = folder.run(&["sql", "--json", "select roles from ops.processes where ended_at is null"]);
    let rows: serde_json::Value = serde_json::from_str(&rows).unwrap();
    assert_eq!(rows, serde_json::json!([{"roles": "stream"}]));
}

#[test]
fn all_roles_in_one_process_export_all() {
    let folder = Folder::new();
    folder.generate("some.csv", &["--rows", "2000", "--bad", "0.02", "--seed", "8"]);
    let up = Running::start(folder.adpipe(&["up"]));
    folder.run(&["ingest", "--wait", folder.join("some.csv").to_str().unwrap()]);
    let (must, _) = of_roles(&[Role::Stream, Role::Dlq, Role::Scheduler, Role::Console]);
    // What the monitor alone knows is its own test's business.
    let must: BTreeSet<&str> = must.into_iter().filter(|name| !LATER.contains(name)).collect();
    let mut text = String::new();
    eventually("all families are there", || {
        text = get(&up.address, "/metrics");
        let found = exported(&text);
        must.iter().all(|name| found.contains_key(name))
    });
    let known: BTreeSet<&str> = FAMILIES.iter().map(|family| family.name).collect();
    for name in exported(&text).into_keys() {
        assert!(known.contains(name), "{name} is not in the list");
    }
    assert!(text.contains("adpipe_http_requests_total{route=\"/v1/events\",status=\"202\"} 0\n"), "{text}");
    assert_clean("all_roles_in_one_process_export_all", &text);
}

#[test]
fn a_port_that_is_taken_is_said_so() {
    let folder = Folder::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = folder.adpipe(&["run", "dlq"]).env("ADPIPE_METRICS__PORT", &port).output().unwrap();
    assert!(!output.status.success());
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.contains(&format!("metrics.port {port}")), "{words}");
}
